"""The two usual ways to sell scarce stock, each written as well as its author would, for comparison.

``rowlock``: the stock row is taken by a conditional UPDATE inside the order's transaction.
``redis_recipe``: a Lua script decrements in Redis, then one durable INSERT records the order.
"""
