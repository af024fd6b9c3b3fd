"""Every sentence of the studio in Korean and English; `say` looks one up."""

from __future__ import annotations

from svd_lab.language import LANGUAGES

MESSAGES: dict[str, tuple[str, str]] = {
    # the panel
    "title_video": ("그림을 움직여 봐요", "Set a picture in motion"),
    "title_text": ("프롬프트로 그림을 만들고, 그 그림을 움직여 봐요", "Make a picture from a prompt, and set it in motion"),
    "picture": ("그림", "Picture"),
    "upload": ("내 그림 올리기", "Upload a picture"),
    "upload_help": ("JPEG, PNG, WebP 등 8 MB까지 올릴 수 있어요. 더 크면 경로를 적어 주세요",
                    "JPEG, PNG, WebP and others, up to 8 MB. For a larger one, enter its path"),
    "path": ("경로나 웹 주소", "Path or web address"),
    "path_hint": ("photos/cat.jpg, https://…", "photos/cat.jpg, https://…"),
    "open": ("열기", "Open"),
    "model_input": ("모델에 들어갈 입력 그림 ({width}×{height})", "What the model gets ({width}×{height})"),
    "picture_here": ("입력 그림이 여기에 나와요", "The input picture appears here"),
    "video_here": ("영상이 여기에 나와요", "The video appears here"),
    "drawn": ("이미지 모델이 만든 그림", "The picture from the image model"),
    "opening": ("그림을 여는 중이에요…", "Opening the picture…"),
    "more": ("모든 설정", "All settings"),
    "fewer": ("기본 설정만", "Basic settings only"),
    "draw_seed": ("새로 뽑기", "random"),
    "range": ("{low}~{high}", "{low} to {high}"),
    "run": ("만들기", "Generate"),
    "cancel": ("멈추기", "Stop"),
    "preset_tip": ("{label}: {value}", "{label}: {value}"),
    "use_picture": ("이 그림으로: {name}", "Use this picture: {name}"),
    "result": ("결과", "Result"),
    "sheet": ("모든 프레임", "All frames"),
    "code": ("코드로 보기", "As code"),
    "code_help": ("이 코드를 셀에 붙여 넣으면 똑같은 영상이 나와요.", "Paste this into a cell to make the same video again."),
    "copy": ("복사", "Copy"),
    "history": ("만든 영상", "History"),
    "restore": ("{number}번 설정으로", "Back to number {number}"),
    "choose": ("{number}번 비교하기", "Compare {number}"),
    "compare": ("고른 영상 나란히 보기", "Compare the selected videos"),
    "compare_few": ("비교할 영상을 두 개 이상 골라 주세요.", "Select at least two videos to compare."),
    "restored": ("{number}번의 설정을 되돌려 놓았어요.", "The settings of number {number} are restored."),
    "no_video": ("{name} 파일이 없어요. 옮기거나 지운 것 같아요.", "The file {name} is gone: moved or deleted."),
    # the estimate
    "measuring": ("이 컴퓨터의 속도를 재고 있어요…", "Measuring the speed of this machine…"),
    "takes": ("약 <b>{seconds}</b> 걸리고, 메모리를 <b>{memory}</b>쯤 더 써요.",
              "Takes about <b>{seconds}</b> and <b>{memory}</b> of additional memory."),
    "free": (" (지금 {free} 비어 있어요)", " ({free} are free now)"),
    "too_much": ("메모리가 모자랄 수 있어요. 프레임 수, 크기, 한 번에 디코딩할 프레임 수를 줄여 보세요.",
                 "Memory may run out. Try fewer frames, a smaller size, or fewer frames decoded at a time."),
    "no_estimate": ("걸리는 시간은 한 번 만든 뒤에 알 수 있어요. ({reason})", "Estimated after the first run. ({reason})"),
    "fix_first": ("붉게 표시된 설정을 먼저 고쳐 주세요.", "Fix the fields marked in red first."),
    "took": ("{seconds} 걸렸어요. 예상은 {estimated}였고, {percent}% 차이가 나요.",
             "It took {seconds}; the estimate was {estimated}, {percent}% off."),
    "took_only": ("{seconds} 걸렸어요.", "It took {seconds}."),
    "seconds": ("{s:.1f}초", "{s:.1f} s"),
    "minutes": ("{m}분 {s:.0f}초", "{m} min {s:.0f} s"),
    # a run
    "starting": ("준비하고 있어요… 다른 셀이 모델을 쓰고 있으면 끝날 때까지 기다려요.",
                 "Starting… If another cell is using the model, this waits for it."),
    "step": ("{step}/{total} 스텝, {left} 남았어요", "step {step} of {total}, {left} left"),
    "decoding": ("프레임을 디코딩하고 있어요, {left}쯤 남았어요", "decoding the frames, about {left} left"),
    "progress": ("진행", "progress"),
    "preview": ("만들어지는 영상", "The video in progress"),
    "stopping": ("멈추는 중이에요…", "Stopping…"),
    "cancelled": ("멈췄어요. 파일은 남지 않았어요.", "Stopped. No file was written."),
    "busy": ("이미 만들고 있어요. 끝나면 다시 눌러 주세요.", "Already running. Press again when it is done."),
    "done": ("다 됐어요! 시드 <b>{seed}</b>, {path}", "Done! Seed <b>{seed}</b>, {path}"),
    "no_picture": ("먼저 그림을 골라 주세요.", "Choose a picture first."),
    # errors
    "empty": ("{label}: 비어 있어요. 값을 적어 주세요.", "{label}: required. Enter a value."),
    "not_whole": ("{label}: {low}부터 {high}까지의 정수를 적어 주세요. 지금은 ‘{given}’라고 적혀 있어요.",
                  "{label}: must be a whole number from {low} to {high}, not ‘{given}’."),
    "not_a_number": ("{label}: {low}부터 {high}까지의 수를 적어 주세요. 지금은 ‘{given}’라고 적혀 있어요.",
                     "{label}: must be a number from {low} to {high}, not ‘{given}’."),
    "out_of_range": ("{label}: {low}부터 {high}까지만 돼요. 지금은 ‘{given}’라고 적혀 있어요.",
                     "{label}: must be from {low} to {high}, not ‘{given}’."),
    "guidance_order": ("첫 프레임의 가이던스({low})가 마지막 프레임의 가이던스({high})보다 클 수 없어요.",
                       "The guidance of the first frame ({low}) must not exceed that of the last ({high})."),
    "not_a_multiple": ("이 모델에서는 {unit}의 배수여야 해요. {given} 대신 {near}처럼 적어 주세요.",
                       "For this model it must be a multiple of {unit}: instead of {given}, try {near}."),
    "not_a_fit": ("그림 맞추기는 {known} 가운데 하나예요. 지금은 ‘{given}’라고 적혀 있어요.",
                  "Fitting must be one of {known}, not ‘{given}’."),
    "bad_file_name": ("‘{given}’는 파일 이름으로 쓸 수 없어요. 폴더 없이 rocket.mp4처럼 적어 주세요.",
                      "‘{given}’ is not a valid file name. Enter one like rocket.mp4, without folders."),
    "file_exists": ("{name}: 이미 있는 이름이에요. 다른 이름을 적거나 비워 두세요.",
                    "{name} already exists. Enter another name, or leave it blank."),
    "picture_missing": ("그런 그림이 없어요. 이름과 폴더를 확인해 주세요.", "No such picture. Check its name and folder."),
    "picture_network": ("그 주소에서 그림을 가져오지 못했어요. 주소와 네트워크를 확인해 주세요.",
                        "The picture could not be downloaded. Check the address and the network."),
    "picture_forbidden": ("그 그림을 열 권한이 없어요.", "You have no permission to open that picture."),
    "picture_bad": ("그림으로 열 수 없어요. JPEG, PNG, WebP 같은 그림 파일을 주세요.",
                    "It cannot be opened as a picture. Choose a JPEG, PNG, WebP or similar file."),
    "memory": ("메모리가 모자랐어요. 프레임 수, 크기, 한 번에 디코딩할 프레임 수를 줄여 보세요.",
               "Memory ran out. Try fewer frames, a smaller size, or fewer frames decoded at a time."),
    "overflow": ("모델의 계산 값이 넘쳤어요. 가이던스나 노이즈를 줄여 보세요.",
                 "The model's numbers overflowed. Lower the guidance or the noise."),
    "disk": ("파일을 쓰거나 읽지 못했어요.", "A file could not be written or read."),
    "failed": ("만들지 못했어요.", "The video could not be made."),
    "details": ("자세한 내용 (traceback)", "Details (traceback)"),
    # without a front end
    "table": ("스튜디오 설정 (화면이 없어 표로 보여요)", "The studio's settings (as a table: there is no front end here)"),
}  # fmt: skip

#: What the bundled pictures are called.
PICTURE_NAMES: dict[str, tuple[str, str]] = {
    "ball": ("공", "ball"),
    "balloon": ("풍선", "balloon"),
    "boat": ("배", "boat"),
    "car": ("자동차", "car"),
    "rabbit": ("토끼", "rabbit"),
    "rocket": ("로켓", "rocket"),
}


def say(key: str, language: str, **values: object) -> str:
    """Look up the message `key` in `language` ("ko" or "en") and fill in `values`."""
    return MESSAGES[key][LANGUAGES.index(language)].format(**values)


def duration(seconds: float, language: str) -> str:
    """Format seconds: 9.4 → "9.4초", 95 → "1분 35초"."""
    if seconds < 60:
        return say("seconds", language, s=seconds)
    return say("minutes", language, m=int(seconds // 60), s=seconds % 60)


def size(number: float) -> str:
    """Format bytes as MiB or GiB."""
    mib = number / 2**20
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"


def explain(error: BaseException, language: str) -> str:
    """Say what went wrong in a run, followed by the error's own text where that adds something."""
    text = str(error).strip() or type(error).__name__
    kind = type(error).__name__
    if kind == "Cancelled":
        return say("cancelled", language)
    if (
        kind == "OutOfMemoryError"
        or isinstance(error, MemoryError)
        or "out of memory" in text
        or "allocate memory" in text
    ):
        return say("memory", language)
    key = "overflow" if isinstance(error, FloatingPointError) else "disk" if isinstance(error, OSError) else "failed"
    return f"{say(key, language)} {text}"


def explain_picture(error: BaseException, language: str) -> str:
    """Say why a picture could not be opened, followed by the error's own text."""
    kinds = (
        (FileNotFoundError, "picture_missing"),
        (PermissionError, "picture_forbidden"),
        (ConnectionError, "picture_network"),
        (TimeoutError, "picture_network"),
    )
    key = next((key for kind, key in kinds if isinstance(error, kind)), "picture_bad")
    return f"{say(key, language)} {error}"
