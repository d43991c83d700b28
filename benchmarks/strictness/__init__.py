"""Which odd requests and answers this proxy and others let pass: the tables of our tests, sent through each of them."""
