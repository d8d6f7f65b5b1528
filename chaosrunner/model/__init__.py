"""The nouns: frozen types without input or output. They import nothing of ours but `errors`."""
