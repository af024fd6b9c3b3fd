"""What `svd-lab models` promises: every model, where it is, and what is missing."""

import os
import re
import shutil
import subprocess
import sys

from svd_lab.commands import main
from svd_lab.models.table import IMAGE, VIDEO


def test_it_lists_every_model_its_folder_and_what_is_missing(tiny_folder, tmp_path, monkeypatch, capsys):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    shutil.copytree(tiny_folder, tmp_path / "models" / "svd")
    shutil.copytree(tiny_folder, tmp_path / "models" / "mini")
    (tmp_path / "models" / "svd" / "vae" / "config.json").unlink()
    monkeypatch.setenv("SVD_LAB_MODELS", os.pathsep.join([str(tmp_path / "models"), str(tmp_path / "gone")]))
    assert main.main(["models"]) == 0
    text = capsys.readouterr().out
    assert all(key in text for key in VIDEO.models)
    assert str(tmp_path / "models" / "mini") in text and re.search(r"SVD_LAB_MODELS, \d+ MB", text)
    assert "vae/config.json is missing" in text
    assert f"not here; the Hub has it as {VIDEO.models['svd-xt'].hub_id}" in text
    assert f"{tmp_path / 'gone'}, which is not a folder" in text


def test_it_lists_the_image_models_without_importing_torch(tmp_path, tiny_image_folder):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sd21").symlink_to(tiny_image_folder)
    code = (
        "import os, sys; os.environ['SVD_LAB_MODELS'] = 'models'; os.environ['HF_HOME'] = 'empty';"
        "from svd_lab.commands.main import main; main(['models']); print('torch' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    assert output.splitlines()[-1] == "False"
    images = output[output.index("load_image_pipeline") :]
    assert all(row.about in images for row in IMAGE.models.values())
    assert "models/sd21" in images and "cannot be used" not in images[images.index("sd21") :]
