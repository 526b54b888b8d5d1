"""Files of sheets: CSV and workbooks, read in a process of their own and written always alike."""
