"""The language of the text miniature: scenes, captions in two languages, the tokenizer."""
