"""The text miniature's language: scenes, captions in two languages, the tokenizer."""
