"""The known models (`table`), finding them on this machine (`checkpoints`), downloading them (`hub`), and mini-turbo (`turbo`)."""
