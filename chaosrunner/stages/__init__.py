"""The verbs: each takes nouns and returns the next noun, and changes nothing that it was given."""
