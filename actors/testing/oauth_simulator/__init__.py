"""WeChat, QQ, Alipay and Apple in one process, with their wire formats and keys of their own, that can be told to misbehave.

Run it: ``python -m actors.testing.oauth_simulator --port N --settings DIR``. Drive it from a test with
:class:`actors.testing.oauth_simulator.control.SimulatorControl`.
"""
