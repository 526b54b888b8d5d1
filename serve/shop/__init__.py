"""The endpoints of customers, one file per noun."""
