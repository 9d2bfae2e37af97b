"""`oriel pipeline`: one model in many formats, each made, proven and measured, and their table."""
