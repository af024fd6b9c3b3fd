# ruff: noqa: E501
"""The colours and places of the text miniature's world in English and Korean, and words of style, which change nothing.

Data only. The names of things are in `thing_words`; `captions` makes sentences of both.
"""

#: {English: (Korean, as before a noun; hue 0..1, or None to keep it; factors of saturation and value)}.
COLOURS = {
    "red": ("빨간", 0.99, 1.0, 1.0), "orange": ("주황색", 0.075, 1.1, 1.05), "yellow": ("노란", 0.145, 1.0, 1.25),
    "green": ("초록색", 0.35, 0.9, 0.85), "blue": ("파란", 0.6, 1.0, 1.0), "purple": ("보라색", 0.77, 0.85, 0.9),
    "pink": ("분홍색", 0.92, 0.5, 1.35), "white": ("하얀", None, 0.08, 1.6), "black": ("검은", None, 0.15, 0.28),
    "brown": ("갈색", 0.065, 0.75, 0.6),
}  # fmt: skip
#: {English: more Korean words for it}.
COLOURS_KO = dict(
    red="빨간색,붉은",
    yellow="노란색",
    green="녹색,초록",
    blue="파란색,푸른",
    white="흰,흰색",
    black="검은색,까만",
    pink="핑크색",
)

# key | English nouns | English adverbials | Korean nouns | Korean stems before "에 있는", "의", "에서" (times, marked *: "의", "에")
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

# Words of real prompts that change nothing in a picture; training mixes them into captions so that they do no harm.
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
