"""Game days: the file, where one stands, its log, what is led, followed and looked back on."""
