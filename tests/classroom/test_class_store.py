"""What a class's results promise in an object store; an S3 server of this machine stands in for one."""

import pytest
from small_class import write_notebook

from svd_lab.classroom import run_class, worker


@pytest.mark.slow
def test_an_object_store_gets_the_same_as_a_folder(tmp_path, monkeypatch):
    server = pytest.importorskip("moto.server", reason="needs moto[s3], s3fs, flask and flask-cors")
    s3fs = pytest.importorskip("s3fs")
    s3 = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    s3.start()
    host, port = s3.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)

    def run_tasks(tasks, on_record, on_poll, report, **_):
        for task in tasks:
            on_record(task, worker.run_task(task))

    def run_notebook(task, store, scratch):
        store.fs.get_file(store.path(f".class/inputs/{task['notebook']}"), str(scratch / "a.ipynb"))
        (scratch / "outputs").mkdir()
        (scratch / "outputs" / "a.mp4").write_bytes(b"clip")
        return scratch / "outputs", {"status": "done"}

    monkeypatch.setattr(run_class, "run_tasks", run_tasks)
    monkeypatch.setattr(worker, "_run_notebook", run_notebook)
    lesson = write_notebook(tmp_path / "small.ipynb")
    (tmp_path / "roster.csv").write_text("name\n민지\nB 100\n", "utf-8")
    try:
        fs = s3fs.S3FileSystem(skip_instance_cache=True)
        fs.mkdir("school")
        ran = []
        for _ in range(2):
            run_class.run_class(tmp_path / "roster.csv", [lesson], "s3://school/spring", resume=True)
            fs.invalidate_cache()
            ran.append(fs.info("school/spring/민지/small/run.json")["LastModified"])
        assert ran[0] == ran[1], "finished runs are kept"
        assert fs.cat_file("school/spring/B 100/small/a.mp4") == b"clip"
        assert fs.info("school/spring/index.html")["ContentType"] == "text/html", "a browser shows it"
        with pytest.raises(FileExistsError, match="s3://school/spring holds the results"):
            run_class.run_class(tmp_path / "roster.csv", [lesson], "s3://school/spring")
    finally:
        s3.stop()
