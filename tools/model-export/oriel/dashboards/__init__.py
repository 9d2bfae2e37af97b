"""`oriel dashboards`: what excites each unit of a model over a corpus, as files beside it."""
