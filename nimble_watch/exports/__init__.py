"""Ways of handing sessions to other programs: one file per format, found by being here."""
