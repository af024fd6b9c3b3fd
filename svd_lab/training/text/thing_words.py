"""The things of the text miniature's world: their names in English and Korean, and what they can do in a scene.

Data only; `scene_grammar` reads it. A line of THINGS is::

    name in things.json | English names | Korean names | kind and flags

Kinds, which decide the Korean counter and where a thing is: a animal, p person, v vehicle, b boat, f flower, t tree, k book,
o anything else; s as a second letter: it is in the air; w: it swims. Flags: T it comes in other colours; M0.55 it can be ridden,
the rider sits at 0.55 of its width; R it can ride, R#rrggbb it is only a head, so a rider gets a body of that colour; S things can
stand on it. The video miniature knows all of these things (none is held out).
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

#: {name of a thing in THINGS: {colour: name of another emoji that has it}}.
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
