"""From text to documents: reading YAML with the place of every key and value, finding what a reference names, and
saying what is wrong in words that lead to the place. Knows the models and the catalogue; touches nothing but files.
"""
