"""Which models there are (`table`), where on this machine (`checkpoints`), how they are downloaded (`hub`), and mini-turbo (`turbo`)."""
