# ruff: noqa: E501
"""The words of the text mini's world: names of things and places in English and Korean, colours, and words that mean nothing to it.

Data only; `captions.py` makes scenes and sentences of it. A line of THINGS is::

    name in things.json | English names | Korean names | kind and flags

Kinds, which choose the Korean counter and where a thing stands: a animal, p person, v vehicle, b boat, f flower, t tree,
k book, o anything else; s as a second letter: it hangs in the air; w: it swims. Flags: T other colours suit it;
M0.55 it can be ridden, the rider sits at 0.55 of its width; R it can ride, R#rrggbb it has only a head, so it gets a body of
that colour; S things can stand on it. Only things that the video mini knows too are here (none held out).
"""

THINGS = """
dog|dog,puppy|강아지,개|a T M0.56 R
cat|cat,kitten|고양이|a T R S0
rabbit|rabbit,bunny|토끼|a T R
horse|horse,pony|말|a T M0.52
cow|cow|젖소,소|a M0.56
ox|bull,ox|황소|a M0.6
pig|pig|돼지|a T M0.55
ewe|sheep,lamb|양|a M0.55
elephant|elephant|코끼리|a M0.62 S0
camel|camel|낙타|a M0.62
deer|deer|사슴|a M0.58
zebra|zebra|얼룩말|a M0.55
giraffe|giraffe|기린|a M0.6
llama|llama,alpaca|라마,알파카|a M0.6
donkey|donkey|당나귀|a M0.5
rhinoceros|rhinoceros,rhino|코뿔소|a M0.58
hippopotamus|hippopotamus,hippo|하마|a M0.6
mammoth|mammoth|매머드|a M0.62
bison|bison,buffalo|들소|a M0.6
leopard|leopard|표범|a M0.58
kangaroo|kangaroo|캥거루|a
turtle|turtle,tortoise|거북이|a T M0.55
sauropod|dinosaur,brontosaurus|공룡|a T M0.5
T-Rex|t rex,tyrannosaurus|티라노사우루스|a T
dragon|dragon|용|a T M0.62
tiger face|tiger|호랑이|a
lion|lion|사자|a
bear|bear|곰|a
polar bear|polar bear|북극곰|a
panda|panda|판다|a
koala|koala|코알라|a
fox|fox|여우|a
wolf|wolf|늑대|a
gorilla|gorilla|고릴라|a
unicorn|unicorn|유니콘|a
frog|frog|개구리|a
hamster|hamster|햄스터|a
mouse|mouse|생쥐,쥐|a R
hedgehog|hedgehog|고슴도치|a
skunk|skunk|스컹크|a
otter|otter|수달|a
snail|snail|달팽이|a T
ant|ant|개미|a
penguin|penguin|펭귄|a R
owl|owl|부엉이|a R
baby chick|chick,baby chick|병아리|a R
chicken|hen,chicken|암탉,닭|a
rooster|rooster|수탉|a R
flamingo|flamingo|홍학,플라밍고|a
duck|duck|오리|a w
swan|swan|백조|a w
goose|goose|거위|a
bird|bird|새|as T
eagle|eagle|독수리|as
parrot|parrot|앵무새|as
dove|dove,pigeon|비둘기|as
bat|bat|박쥐|as
butterfly|butterfly|나비|as T
honeybee|bee,honeybee|벌,꿀벌|as
whale|whale|고래|aw T M0.6
dolphin|dolphin|돌고래|aw M0.55
shark|shark|상어|aw
fish|fish|물고기|aw T
tropical fish|tropical fish|열대어|aw
blowfish|blowfish,pufferfish|복어|aw
octopus|octopus|문어|aw T
squid|squid|오징어|aw
jellyfish|jellyfish|해파리|aw
shrimp|shrimp|새우|aw
astronaut|astronaut,spaceman,cosmonaut|우주비행사,우주인|p R
farmer|farmer|농부|p R
cook|cook,chef|요리사|p R
firefighter|firefighter,fireman|소방관|p R
police officer|police officer,policeman|경찰관,경찰|p R
health worker|doctor,nurse|의사,간호사|p R
student|student|학생|p R
princess|princess|공주|p R
prince|prince|왕자|p R
person with crown|king,queen|왕,여왕|p R
ninja|ninja|닌자|p R
mage|wizard,mage|마법사|p R
vampire|vampire|뱀파이어,흡혈귀|p R
guard|guard,soldier|근위병,군인|p R
detective|detective|탐정|p R
construction worker|construction worker,builder|건설 노동자|p R
pilot|pilot|조종사|p R
elf|elf|엘프,요정|p R
man|man|남자|p R#4a7ab8
woman|woman|여자|p R#b8486a
boy|boy,child|남자아이,소년,아이|p R#58a050
girl|girl|여자아이,소녀|p R#c070b8
old man|old man,grandfather|할아버지|p R#8a7a60
baby|baby|아기|p R#a8d0e8
Santa Claus|santa,santa claus|산타,산타클로스|p R#d03028
robot|robot|로봇|p R#c8c4d4
alien|alien|외계인|p R#58b048
clown face|clown|광대|p R#e08030
skull|skull|해골|o
ghost|ghost|유령|o
snowman|snowman|눈사람|o
teddy bear|teddy bear|곰 인형,테디베어|o R
jack-o-lantern|pumpkin,jack o lantern|호박|o
mermaid|mermaid|인어|p
person surfing|surfer|서퍼,서핑하는 사람|p
person biking|cyclist|자전거 타는 사람|p
automobile|car,automobile|자동차,차|v T S
racing car|racing car,race car|경주용 자동차,경주차|v T
taxi|taxi,cab|택시|v
police car|police car|경찰차|v
bus|bus|버스|v S
fire engine|fire engine,fire truck|소방차|v
delivery truck|truck,lorry|트럭|v S
pickup truck|pickup truck,pickup|픽업트럭|v T
tractor|tractor|트랙터|v T
motorcycle|motorcycle,motorbike|오토바이|v T M0.6
bicycle|bicycle,bike|자전거|v T
motor scooter|scooter|스쿠터|v T
locomotive|steam train,locomotive|증기 기관차,기관차|v
bullet train|train,bullet train|기차,고속철|v
tram car|tram|트램,전차|v
helicopter|helicopter|헬리콥터|vs
airplane|airplane,plane,aeroplane|비행기|vs
small airplane|small airplane,propeller plane|경비행기|vs
rocket|rocket,spaceship|로켓,우주선|vs T
flying saucer|ufo,flying saucer|비행접시,유에프오|vs
parachute|parachute|낙하산|os
balloon|balloon|풍선|os T
kite|kite|연|os T
sailboat|sailboat,sailing boat|돛단배,요트|b
ship|ship,cruise ship|배,여객선|b
speedboat|speedboat,motorboat|보트,쾌속정|b
canoe|canoe|카누|b
sun|sun|해,태양|os
crescent moon|crescent moon,moon|초승달,달|os
full moon|full moon|보름달|os
star|star|별|os T
cloud|cloud|구름|os
cloud with lightning|thundercloud,lightning cloud|번개구름|os
comet|comet,shooting star|혜성|os
globe showing Americas|globe,earth|지구,지구본|os
tulip|tulip|튤립|f T
rose|rose|장미|f T
sunflower|sunflower|해바라기|f
hibiscus|hibiscus,flower|무궁화,꽃|f T
cherry blossom|cherry blossom|벚꽃|f
potted plant|potted plant,plant|화분|o
cactus|cactus|선인장|o
palm tree|palm tree|야자수|t
evergreen tree|pine tree,fir tree|소나무,전나무|t
deciduous tree|tree|나무|t T
Christmas tree|christmas tree|크리스마스 트리|t
maple leaf|maple leaf|단풍잎|o
seedling|seedling,sprout|새싹|o
house|house,home|집|o S
castle|castle|성|o
church|church|교회|o
factory|factory|공장|o
hospital|hospital|병원|o
office building|office building,building,skyscraper|빌딩,건물|o
Tokyo tower|tower|탑,타워|o
Statue of Liberty|statue of liberty|자유의 여신상|o
red apple|apple|사과|o
banana|banana|바나나|o
strawberry|strawberry|딸기|o
watermelon|watermelon|수박|o
pineapple|pineapple|파인애플|o
lemon|lemon|레몬|o
tangerine|orange fruit,tangerine,mandarin|귤,오렌지|o
peach|peach|복숭아|o
pear|pear|배 과일,서양배|o
cherries|cherries,cherry|체리|o
tomato|tomato|토마토|o
avocado|avocado|아보카도|o
ear of corn|corn|옥수수|o
eggplant|eggplant,aubergine|가지|o
broccoli|broccoli|브로콜리|o
bread|bread|빵|o
croissant|croissant|크루아상|o
pizza|pizza|피자|o
hamburger|hamburger,burger|햄버거|o
hot dog|hot dog|핫도그|o
french fries|french fries,fries|감자튀김|o
sushi|sushi|초밥|o
egg|egg|달걀,계란|o
doughnut|doughnut,donut|도넛|o
cookie|cookie|쿠키|o
ice cream|ice cream|아이스크림|o
birthday cake|birthday cake,cake|케이크,생일 케이크|o S
cupcake|cupcake|컵케이크|o T
lollipop|lollipop|막대사탕|o
hot beverage|cup of coffee,coffee,cup of tea|커피,차 한 잔|o
teapot|teapot|찻주전자|o T
wine glass|glass of wine,wine|와인잔,와인|o
beer mug|beer,mug of beer|맥주|o
soccer ball|soccer ball,football|축구공|o
basketball|basketball|농구공|o
volleyball|volleyball|배구공|o
red circle|ball|공|o
guitar|guitar|기타|o T
violin|violin|바이올린|o
trumpet|trumpet|트럼펫|o
drum|drum|북,드럼|o T S
musical keyboard|piano,keyboard|피아노|o
red heart|heart|하트|o
gem stone|diamond,gem|다이아몬드,보석|o T
ring|ring|반지|o
crown|crown|왕관|o
glasses|glasses|안경|o
dress|dress|드레스,원피스|o T
jeans|jeans,trousers|청바지,바지|o
running shoe|shoe,sneaker|운동화,신발|o T
billed cap|cap,hat|모자|o T
gloves|gloves|장갑|o T
handbag|handbag|핸드백|o T
camera|camera|카메라|o
laptop|laptop,computer|노트북,컴퓨터|o S
mobile phone|phone,smartphone|휴대전화,스마트폰|o
television|television,tv|텔레비전|o S
telephone|telephone|전화기|o T
light bulb|light bulb,lamp|전구|o
candle|candle|촛불,양초|o
fire|fire,flame,campfire|불,불꽃|o
closed book|book|책|k S
books|books,pile of books|책 더미|o S
scissors|scissors|가위|o
hammer|hammer|망치|o
bell|bell|종|o
bomb|bomb|폭탄|o
package|box,package|상자|o S
red paper lantern|lantern|등불|o
bed|bed|침대|o S
couch and lamp|sofa,couch|소파|o S
chair|chair|의자|o S
door|door|문|o
toilet|toilet|변기|o S
bathtub|bathtub|욕조|o
bucket|bucket|양동이|o T
rock|rock,stone|바위,돌|o S
moai|moai,stone statue|모아이|o
shopping cart|shopping cart|쇼핑카트|o
boxing glove|boxing glove|권투 장갑|o T
pile of poo|poo|똥|o
"""

# Where another emoji already has the colour. The first name is the thing's own in THINGS.
VARIANTS = {
    "red heart": dict(
        red="red heart", blue="blue heart", green="green heart", yellow="yellow heart", purple="purple heart",
        black="black heart", brown="brown heart", pink="pink heart",
    ),
    "red circle": dict(
        red="red circle", blue="blue circle", green="green circle", yellow="yellow circle", purple="purple circle",
        brown="brown circle", orange="orange circle", white="white circle",
    ),
    "closed book": dict(red="closed book", green="green book", blue="blue book", orange="orange book"),
    "red apple": dict(red="red apple", green="green apple"),
    "cat": dict(black="black cat"),
}  # fmt: skip

# English, Korean (as it stands before a noun); hue 0..1 (None: keep), saturation x, value x.
COLOURS = {
    "red": ("빨간", 0.99, 1.0, 1.0), "orange": ("주황색", 0.075, 1.1, 1.05), "yellow": ("노란", 0.145, 1.0, 1.25),
    "green": ("초록색", 0.35, 0.9, 0.85), "blue": ("파란", 0.6, 1.0, 1.0), "purple": ("보라색", 0.77, 0.85, 0.9),
    "pink": ("분홍색", 0.92, 0.5, 1.35), "white": ("하얀", None, 0.08, 1.6), "black": ("검은", None, 0.15, 0.28),
    "brown": ("갈색", 0.065, 0.75, 0.6),
}  # fmt: skip
COLOURS_KO = dict(
    red="빨간색,붉은",
    yellow="노란색",
    green="녹색,초록",
    blue="파란색,푸른",
    white="흰,흰색",
    black="검은색,까만",
    pink="핑크색",
)

# key | English nouns | English adverbials | Korean nouns | Korean stems before "에 있는", "의", "에서" (times only "의" and "에")
PLACES = """
meadow|a meadow,a green field,a sunny day|in a meadow,on the grass,in a green field,on a sunny day,during the day|들판,초원,풀밭|들판,초원,풀밭
sky|the sky,a blue sky,the clouds|in the sky,in a clear blue sky,among the clouds|하늘,푸른 하늘|하늘,푸른 하늘,구름 사이
night|the night,a starry sky,the night sky|at night,under a starry sky,in the night,in the moonlight|밤,밤하늘,별이 빛나는 밤|*밤,*별이 빛나는 밤,밤하늘 아래
space|space,outer space,the universe|in space,in outer space,among the stars|우주,우주 공간|우주,우주 공간
sea|the sea,the ocean,waves|at sea,on the sea,on the ocean|바다,대양|바다,바다 위
underwater|the underwater world,the bottom of the sea|under water,underwater,under the sea|바닷속,물속|물속,바닷속
desert|a desert,sand dunes|in a desert,in the desert,on sand dunes|사막|사막
snow|a snowy field,a winter landscape|in the snow,on a snowy field,in winter|눈밭,겨울 풍경|눈밭,눈 속,*겨울
forest|a forest,the woods|in a forest,in the woods|숲,숲속|숲,숲속
beach|a beach|on a beach,on the beach,at the seaside|해변,바닷가,모래사장|해변,바닷가,모래사장
mountains|mountains,snowy mountains|in the mountains,in front of mountains|산,산맥|산,산속
hills|green hills,rolling hills|on a hill,in the hills|언덕|언덕,언덕 위
city|a city,a city by day,a skyline|in a city,in the city,in front of a skyline|도시,시내|도시,시내,도심
city night|a city at night,a night skyline|in a city at night,in front of a city at night|밤 도시,도시의 밤,도시 야경|밤 도시,도시의 밤거리
aerial|an aerial view of a city at night,a city at night from above,city lights at night seen from above,a bird's eye view of a city at night|over a city at night seen from above,above the lights of a city at night|하늘에서 본 밤 도시,위에서 내려다본 도시 야경,밤 도시 항공 사진,하늘에서 내려다본 도시의 밤|하늘에서 본 밤 도시,위에서 내려다본 도시 야경
sunset|a sunset,a sunrise|at sunset,at sunrise,at dusk,in the evening|노을,석양,일출|*해 질 녘,노을 속,*저녁,석양 아래
room|a room,a living room|in a room,at home,indoors,in a living room|방,거실,방 안|방,방 안,거실,집 안
studio|a white background,a white studio|on a white background,in a white studio|하얀 배경,흰 스튜디오|하얀 배경,흰 배경
road|a road,a street,a highway|on a road,on the street,on a highway|길,도로,거리|길,도로,거리,길 위
lake|a lake,a river|by a lake,at a lake,by the river|호수,강|호숫가,강가,호수
moon|the surface of the moon,a lunar landscape|on the moon,on the surface of the moon|달 표면|달 표면,달 위
garden|a garden,a field of flowers|in a garden,among flowers,in a field of flowers|정원,꽃밭|정원,꽃밭
autumn|autumn,an autumn forest|in autumn,in an autumn forest,in the fall|가을,가을 숲,단풍 숲|*가을,단풍 숲,가을 숲
rain|the rain,a rainy day|in the rain,on a rainy day|비,비 오는 날|*비 오는 날,빗속
fog|the fog,the mist|in the fog,in the mist|안개|안개 속
aurora|the northern lights,an aurora|under the northern lights,under an aurora|오로라,북극광|오로라 아래,오로라 속
fireworks|fireworks|in front of fireworks,under fireworks|불꽃놀이|불꽃놀이 아래
volcano|a volcano,lava|in front of a volcano,on a volcano|화산,용암|화산,화산 앞
"""
PLAIN = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")  # "on a blue background"

MEDIA_EN = (
    "a photograph of {x}", "a photo of {x}", "a picture of {x}", "an image of {x}", "a drawing of {x}", "{x}", "{x}", "{x}",
    "an illustration of {x}", "a painting of {x}", "a close-up of {x}", "photo of {x}", "picture of {x}", "{x} photo",
    "a portrait of {x}", "this is {x}", "there is {x}", "show me {x}", "please draw {x}", "make {x}",
)  # fmt: skip
MEDIA_KO = (
    "{x} 사진", "{x} 그림", "{x}의 사진", "{x}의 그림", "{x}", "{x}", "{x}", "{x} 이미지", "{x} 그려줘", "{x} 보여줘", "{x}의 모습", "{x} 풍경",
)  # fmt: skip

# How people write prompts. These words change nothing in a picture; training strews them in so that they do no harm.
STYLE_EN = """long exposure|instagram contest|highly detailed|4k|8k|uhd|hdr|digital art|trending on artstation|cinematic lighting
masterpiece|best quality|sharp focus|award winning|national geographic|unreal engine|octane render|3d render|concept art|bokeh
depth of field|soft light|golden hour|dramatic|vibrant colors|minimalist|oil painting|watercolor|pixar style|studio lighting
wide angle|macro|35mm|ultra realistic|photorealistic|hyper detailed|beautiful composition|by a famous artist|studio ghibli
anime style|film grain|professional|high resolution|vivid|dreamy|epic|intricate|elegant|low poly|fantasy|surreal|retro|vintage
full body|centered|symmetrical|colorful|pastel|stock photo|wallpaper|poster|unsplash|dslr|nikon|canon"""
STYLE_KO = """고화질|고해상도|장노출|인스타그램|사실적인|아름다운 조명|영화 같은|시네마틱|디지털 아트|일러스트|수채화|유화|걸작|최고 품질|자세한
선명한|감성적인|몽환적인|애니메이션 스타일|배경 흐림|부드러운 빛|화려한 색감|빈티지|미니멀|광각|접사|공모전 수상작|전문 사진|실사|파스텔톤"""
ADJECTIVES_EN = """beautiful cute happy lovely pretty funny sad young friendly famous nice amazing wonderful magical
brave lonely sleepy fluffy shiny majestic wild angry smiling strange modern ancient mysterious adorable cool real"""
ADJECTIVES_KO = "귀여운 예쁜 아름다운 멋진 행복한 슬픈 웃는 신비로운 사랑스러운 젊은 외로운 용감한 화난 재미있는 이상한 빛나는 근사한 진짜"
WORDS_EN = """the a an of and with in on at by for from to is are his her very some wearing holding looking standing
sitting walking running playing eating drinking dancing swimming sleeping jumping while near behind around between into
through over under shirt music party dream love time light shadow water wind gold silver glass wood metal paper world
story life magic hero friend family school summer spring morning style art view scene people """
WORDS_KO = """있는 없는 그리고 하는 입은 들고 보는 서 있는 앉아 걷는 달리는 노는 먹는 마시는 춤추는 헤엄치는 자는 뛰는 뒤 사이 음악 파티 꿈 사랑
시간 빛 그림자 물 바람 금 은 유리 나무로 만든 세계 이야기 마법 영웅 친구 가족 학교 여름 봄 아침 스타일 예술 장면 사람들 어떤 """
