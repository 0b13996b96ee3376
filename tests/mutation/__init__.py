"""The table of planted bugs: does it still fit the sources, and is the judge fair?"""
