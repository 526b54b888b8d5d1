"""Behaviour events on their way from a replica's answer to the lake. They share no table, no connection and no loop with orders."""
