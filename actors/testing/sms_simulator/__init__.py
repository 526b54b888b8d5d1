"""An SMS provider of our own that speaks Alibaba Cloud's wire format, checks its signatures, and can be told to misbehave.

Run it: ``python -m actors.testing.sms_simulator --port N``. Drive it from a test with
:class:`actors.testing.sms_simulator.control.SmsControl`.
"""
