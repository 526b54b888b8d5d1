"""Second factors: tries, codes that work once, challenges, counters, limits, and replay."""

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import factors, factors_state
from actors.domain.entity import Accepted, Refused, Wake
from actors.domain.factors import FactorsKind
from actors.testing.rehearsal import Rehearsal
from schemas.factors import (
    AcceptAssertion,
    AcceptProof,
    AcceptStep,
    AddPasskey,
    ConfirmTotp,
    EnrolTotp,
    FactorAdded,
    FactorProven,
    FactorsChanged,
    ForgetDevices,
    ReadFactors,
    RemoveFactor,
    RenameFactor,
    SetRecoveryCodes,
    SetSms,
    TakeGuess,
    UseRecoveryCode,
)

NOW = 1_700_000_000_000
MINUTE = 60_000
STEP = NOW // 30_000


def code(n: int) -> bytes:
    return hashlib.sha256(b"code %d" % n).digest()[:16]


CODES = tuple(map(code, range(10)))


def guess(run: Rehearsal, method: str = "totp", at_ms: int = NOW, factor_id: str = "") -> Any:
    return run.told(TakeGuess(method=method, factor_id=factor_id), at_ms)


def with_device(factor_id: str = "fac_1", run: Rehearsal | None = None) -> Rehearsal:
    """A device that was confirmed by the code of the step before."""
    run = run or Rehearsal(FactorsKind(), "usr_a")
    run.ask(EnrolTotp(factor_id=factor_id, name="phone", sealed=b"sealed " + factor_id.encode()), NOW)
    given_ = guess(run, "confirm", factor_id=factor_id)
    run.ask(ConfirmTotp(factor_id=factor_id, step=STEP - 1, guess_id=given_.guess_id), NOW)
    assert run.state.totp[factor_id].confirmed_at_ms == NOW
    return run


def passkey(n: int, *, challenge: int = 0, count: int = 0) -> AddPasskey:
    return AddPasskey(
        factor_id=f"fac_p{n}", name="laptop", credential_id=b"credential %d" % n, public_key=b"key", sign_count=count,
        challenge_id=b"add %d" % (challenge or n), challenge_expires_at_ms=NOW + 5 * MINUTE,
    )  # fmt: skip


def assertion(n: int, count: int, *, challenge: bytes = b"", expires: int = NOW + 5 * MINUTE) -> AcceptAssertion:
    return AcceptAssertion(
        factor_id=f"fac_p{n}", sign_count=count, challenge_id=challenge or b"assert %d %d" % (n, count), challenge_expires_at_ms=expires
    )


def test_an_enrolment_refuses_in_the_order_of_the_guards() -> None:
    run = with_device()
    assert run.told(EnrolTotp(factor_id="fac_1", name="x", sealed=b"s"), NOW) == "idempotency_key_reused"
    assert run.told(EnrolTotp(factor_id="fac_2", name="x", sealed=b""), NOW) == "invalid_request"
    assert run.told(EnrolTotp(factor_id="fac_2", name="x", sealed=bytes(257)), NOW) == "invalid_request"
    for n in range(2, 6):
        with_device(f"fac_{n}", run)
    assert run.told(EnrolTotp(factor_id="fac_6", name="x", sealed=b"s"), NOW) == "too_many_factors"
    assert factors.invariant(run.state) == []


def test_a_device_counts_from_its_first_code_on_and_a_new_enrolment_takes_the_place_of_one_that_had_none() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    assert run.told(EnrolTotp(factor_id="fac_1", name="x" * 99, sealed=b"one"), NOW) == FactorAdded(factor_id="fac_1", sealed=b"one")
    assert run.told(ReadFactors(), NOW).methods == ()
    assert guess(run) == "factor_unknown"
    run.ask(EnrolTotp(factor_id="fac_2", name="tablet", sealed=b"two"), NOW)
    assert list(run.state.totp) == ["fac_2"]
    assert guess(run, "confirm", factor_id="fac_1") == "factor_unknown"
    given_ = guess(run, "confirm", factor_id="fac_2")
    assert [(one.factor_id, one.sealed) for one in given_.secrets] == [("fac_2", b"two")]
    assert run.told(ConfirmTotp(factor_id="fac_2", step=STEP, guess_id=b"other"), NOW) == "factor_wrong"
    assert run.told(ConfirmTotp(factor_id="fac_1", step=STEP, guess_id=given_.guess_id), NOW) == "factor_unknown"
    assert run.told(ConfirmTotp(factor_id="fac_2", step=STEP, guess_id=given_.guess_id), NOW) == FactorAdded(factor_id="fac_2")
    assert run.told(ConfirmTotp(factor_id="fac_2", step=STEP, guess_id=given_.guess_id), NOW) == "factor_unknown"
    assert run.told(ReadFactors(), NOW).methods == ("totp",)


def test_a_device_that_nobody_confirms_lapses_after_a_quarter_of_an_hour() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    run.ask(EnrolTotp(factor_id="fac_1", name="x", sealed=b"s"), NOW)
    late = NOW + factors_state.CONFIRM_MS
    assert run.kind.wake_at(run.state) == late
    assert run.ask(Wake(), late - 1) == Accepted()
    given_ = guess(run, "confirm", late - 1, "fac_1")
    assert run.told(ConfirmTotp(factor_id="fac_1", step=STEP, guess_id=given_.guess_id), late) == "factor_unknown"
    run.ask(Wake(), late)
    assert (run.state.totp, run.kind.wake_at(run.state)) == ({}, None)


def test_a_code_is_accepted_once_and_an_earlier_one_never_again() -> None:
    run = with_device()
    one, two, three = guess(run), guess(run), guess(run)
    assert [secret.last_step for secret in one.secrets] == [STEP - 1]
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP - 1, guess_id=one.guess_id), NOW) == "factor_code_used"
    proven = FactorProven(method="totp", factor_id="fac_1", at_ms=NOW)
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP, guess_id=one.guess_id), NOW) == proven
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP, guess_id=two.guess_id), NOW) == "factor_code_used"
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP - 1, guess_id=two.guess_id), NOW) == "factor_code_used"
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP + 1, guess_id=three.guess_id), NOW) == proven
    assert run.told(AcceptStep(factor_id="fac_9", step=STEP + 2, guess_id=two.guess_id), NOW) == "factor_unknown"


def test_a_secret_is_sealed_anew_when_a_code_of_it_was_right() -> None:
    run = with_device()
    run.ask(AcceptStep(factor_id="fac_1", step=STEP, guess_id=guess(run).guess_id, resealed=b"anew"), NOW)
    run.ask(AcceptStep(factor_id="fac_1", step=STEP + 1, guess_id=guess(run).guess_id), NOW)
    assert [secret.sealed for secret in guess(run).secrets] == [b"anew"]


def test_a_guess_is_good_for_one_outcome_within_a_minute_and_for_its_own_method() -> None:
    run = with_device()
    given_ = guess(run)
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP, guess_id=b"never taken"), NOW) == "factor_wrong"
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP, guess_id=given_.guess_id), NOW + MINUTE) == "factor_wrong"
    password = guess(run, "password")
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP, guess_id=password.guess_id), NOW) == "factor_wrong"
    run.ask(AcceptStep(factor_id="fac_1", step=STEP, guess_id=given_.guess_id), NOW)
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP + 1, guess_id=given_.guess_id), NOW) == "factor_wrong"


def test_after_five_tries_a_method_is_locked_for_a_minute_then_five_then_an_hour_and_again_an_hour() -> None:
    run, at_ms = with_device(), NOW
    for lock_ms in (MINUTE, 5 * MINUTE, 60 * MINUTE, 60 * MINUTE):
        assert [guess(run, at_ms=at_ms).left for _ in range(5)] == [4, 3, 2, 1, 0]
        refused = run.ask(TakeGuess(method="totp"), at_ms)
        assert refused == Refused(code="factor_locked", params={"retry_after_s": lock_ms // 1000})
        assert guess(run, at_ms=at_ms + lock_ms - 1) == "factor_locked"
        assert factors.invariant(run.state) == []
        at_ms += lock_ms


def test_a_locked_method_leaves_the_others_open() -> None:
    run = with_device()
    run.ask(SetRecoveryCodes(hashes=CODES), NOW)
    for _ in range(5):
        guess(run)
    assert guess(run) == "factor_locked"
    assert guess(run, "password").left == 4
    assert run.told(UseRecoveryCode(code_hash=CODES[0]), NOW).recovery_codes_left == 9


def test_the_fifth_guess_may_still_be_right_and_sets_the_count_back() -> None:
    run = with_device()
    last = [guess(run) for _ in range(5)][-1]
    assert run.told(AcceptStep(factor_id="fac_1", step=STEP, guess_id=last.guess_id), NOW).method == "totp"
    assert guess(run).left == 4


def test_a_password_that_was_right_sets_its_own_count_back() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    given_ = [guess(run, "password") for _ in range(5)][-1]
    assert guess(run, "password") == "factor_locked"
    assert run.told(AcceptProof(method="totp", guess_id=given_.guess_id), NOW) == "factor_wrong"
    assert run.told(AcceptProof(method="password", guess_id=given_.guess_id), NOW) == FactorProven(method="password", at_ms=NOW)
    assert run.told(AcceptProof(method="password", guess_id=given_.guess_id), NOW) == "factor_wrong"
    assert guess(run, "password").left == 4


@pytest.mark.parametrize("hashes", [CODES[:9], (*CODES[:9], CODES[0]), (*CODES[:9], b"short"), ()])
def test_recovery_codes_are_ten_different_ones(hashes: tuple[bytes, ...]) -> None:
    assert with_device().told(SetRecoveryCodes(hashes=hashes), NOW) == "invalid_request"


def test_recovery_codes_stand_beside_a_factor_and_go_with_the_last_one() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    assert run.told(SetRecoveryCodes(hashes=CODES), NOW) == "no_second_factor"
    with_device(run=run)
    run.ask(passkey(1), NOW)
    assert run.told(SetRecoveryCodes(hashes=CODES), NOW) == FactorsChanged(generation=0)
    assert run.told(ReadFactors(), NOW).methods == ("totp", "passkey", "recovery_code")
    run.ask(RemoveFactor(factor_id="fac_1"), NOW)
    assert run.told(ReadFactors(), NOW).methods == ("passkey", "recovery_code")
    assert run.told(RemoveFactor(factor_id="fac_p1"), NOW) == FactorsChanged(generation=2, credential_id=b"credential 1")
    assert (run.told(ReadFactors(), NOW).methods, run.state.recovery) == ((), [])


def test_a_recovery_code_works_once_and_new_ones_kill_the_old() -> None:
    run = with_device()
    run.ask(SetRecoveryCodes(hashes=CODES), NOW)
    proven = FactorProven(method="recovery_code", at_ms=NOW, recovery_codes_left=9)
    assert run.told(UseRecoveryCode(code_hash=CODES[3]), NOW) == proven
    assert run.told(UseRecoveryCode(code_hash=CODES[3]), NOW) == "factor_wrong"
    run.ask(SetRecoveryCodes(hashes=tuple(map(code, range(20, 30)))), NOW)
    assert run.told(UseRecoveryCode(code_hash=CODES[4]), NOW) == "factor_wrong"
    assert run.told(UseRecoveryCode(code_hash=code(20)), NOW).recovery_codes_left == 9


def test_a_wrong_recovery_code_costs_a_try_in_the_same_turn() -> None:
    run = with_device()
    run.ask(SetRecoveryCodes(hashes=CODES), NOW)
    assert guess(run, "recovery_code") == "invalid_request"
    assert [run.told(UseRecoveryCode(code_hash=code(99)), NOW) for _ in range(6)] == ["factor_wrong"] * 5 + ["factor_locked"]
    assert run.told(UseRecoveryCode(code_hash=CODES[0]), NOW) == "factor_locked"
    assert run.told(UseRecoveryCode(code_hash=CODES[0]), NOW + MINUTE).recovery_codes_left == 9


def test_a_passkey_is_refused_in_the_order_of_the_guards() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    assert run.told(passkey(1), NOW + 5 * MINUTE) == "challenge_invalid"
    assert run.told(passkey(1), NOW) == FactorAdded(factor_id="fac_p1")
    assert run.told(passkey(2, challenge=1), NOW) == "challenge_invalid"
    assert run.told(
        AddPasskey(**{name: getattr(passkey(2), name) for name in passkey(2).__struct_fields__} | {"public_key": b""}), NOW
    ) == ("invalid_request")
    assert run.told(passkey(1, challenge=2), NOW) == "idempotency_key_reused"
    same = AddPasskey(**{name: getattr(passkey(3), name) for name in passkey(3).__struct_fields__} | {"credential_id": b"credential 1"})
    assert run.told(same, NOW) == "passkey_known"
    for n in range(2, 21):
        run.ask(passkey(n), NOW)
    assert run.told(passkey(21), NOW) == "too_many_factors"
    assert len(run.state.passkeys) == 20


def test_a_challenge_is_answered_once_within_its_time() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    run.ask(passkey(1), NOW)
    assert run.told(assertion(9, 1), NOW) == "factor_unknown"
    assert run.told(assertion(1, 1, challenge=b"add 1"), NOW) == "challenge_invalid"
    assert run.told(assertion(1, 1, challenge=b"c"), NOW) == FactorProven(method="passkey", factor_id="fac_p1", at_ms=NOW)
    assert run.told(assertion(1, 2, challenge=b"c"), NOW) == "challenge_invalid"
    assert run.told(assertion(1, 2, challenge=b"d"), NOW + 5 * MINUTE) == "challenge_invalid"


def test_spent_challenges_are_forgotten_when_they_have_expired_and_bounded_before() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    run.ask(passkey(1), NOW)
    for n in range(1, factors_state.CHALLENGES_MAX):
        run.ask(assertion(1, n), NOW)
    assert run.told(assertion(1, 99), NOW) == "rate_limited"
    assert run.told(assertion(1, 99, challenge=b"later", expires=NOW + 9 * MINUTE), NOW + 5 * MINUTE).method == "passkey"
    assert list(run.state.challenges) == [b"later"]


def test_a_counter_that_falls_back_is_refused_and_remembered_and_its_challenge_is_spent() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    run.ask(passkey(1, count=7), NOW)
    for n, count in enumerate((7, 6, 0)):
        assert run.told(assertion(1, count), NOW) == "passkey_cloned"
        assert run.told(assertion(1, count), NOW) == "challenge_invalid"
        assert (run.state.passkeys["fac_p1"].regressions, run.state.passkeys["fac_p1"].sign_count) == (n + 1, 7)
    assert run.told(assertion(1, 8), NOW).method == "passkey"


def test_an_authenticator_that_never_counts_is_not_taken_for_a_copy() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    run.ask(passkey(1), NOW)
    for n in range(3):
        assert run.told(assertion(1, 0, challenge=b"c%d" % n), NOW).method == "passkey"
    assert run.state.passkeys["fac_p1"].used_at_ms == NOW


def test_names_are_changed_and_trust_ends_when_something_is_taken_away() -> None:
    run = with_device()
    run.ask(passkey(1), NOW)
    assert run.told(RenameFactor(factor_id="fac_9", name="x"), NOW) == "factor_unknown"
    assert run.told(RenameFactor(factor_id="fac_1", name="y" * 99), NOW) == FactorsChanged(generation=0)
    run.ask(RenameFactor(factor_id="fac_p1", name="key"), NOW)
    assert (run.state.totp["fac_1"].name, run.state.passkeys["fac_p1"].name) == ("y" * 60, "key")
    assert run.told(RemoveFactor(factor_id="fac_1"), NOW) == FactorsChanged(generation=1)
    assert run.told(RemoveFactor(factor_id="fac_1"), NOW) == "factor_unknown"
    assert run.told(ForgetDevices(), NOW) == FactorsChanged(generation=2)


def test_a_telephone_that_was_chosen_is_a_factor_until_it_is_dropped_and_recovery_codes_go_with_the_last_one() -> None:
    run = Rehearsal(FactorsKind(), "usr_a")
    assert run.told(SetSms(lookup=b"short"), NOW) == "invalid_request"
    assert run.told(SetSms(lookup=b""), NOW) == FactorsChanged(generation=0)
    assert run.told(SetSms(lookup=b"l" * 16), NOW) == FactorsChanged(generation=0)
    run.ask(SetRecoveryCodes(hashes=CODES), NOW)
    assert run.told(ReadFactors(), NOW).methods == ("sms", "recovery_code")
    assert run.told(SetSms(lookup=b""), NOW) == FactorsChanged(generation=1)
    assert (run.told(ReadFactors(), NOW).methods, run.state.recovery) == ((), [])


def test_the_view_holds_no_secret() -> None:
    run = with_device()
    [device] = run.told(ReadFactors(), NOW).totp
    assert "sealed" not in device.__struct_fields__


ids = st.sampled_from(["fac_1", "fac_2", "fac_p1", "fac_p2"])
guesses = st.integers(1, 40)
commands = st.one_of(
    st.builds(EnrolTotp, factor_id=ids, name=st.just("n"), sealed=st.just(b"s")),
    st.builds(TakeGuess, method=st.sampled_from(["totp", "confirm", "password"]), factor_id=ids),
    st.builds(TakeGuess, method=st.just("totp")),
    st.tuples(st.sampled_from([ConfirmTotp, AcceptStep]), ids, st.integers(0, 3), guesses),
    st.just(SetRecoveryCodes(hashes=CODES)),
    st.builds(UseRecoveryCode, code_hash=st.integers(0, 12).map(code)),
    st.integers(1, 3).map(passkey),
    st.builds(assertion, st.integers(1, 2), st.integers(0, 3)),
    st.builds(RenameFactor, factor_id=ids, name=st.just("m")),
    st.builds(RemoveFactor, factor_id=ids),
    st.just(ForgetDevices()),
    st.sampled_from([b"", b"l" * 16]).map(lambda lookup: SetSms(lookup=lookup)),
    st.just(Wake()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(commands, st.sampled_from([0, 0, 1000, 61_000, 15 * MINUTE])), max_size=40))
def test_whatever_is_asked_the_invariant_holds_and_replay_gives_the_same_state(steps: list[Any]) -> None:
    run, at_ms, taken = Rehearsal(FactorsKind(), "usr_a"), NOW, [b""]
    for command, pause in steps:
        at_ms += pause
        if isinstance(command, tuple):
            made, factor_id, step, number = command
            command = made(factor_id=factor_id, step=step, guess_id=taken[-min(number, len(taken))])
        before = {name: device.last_step for name, device in run.state.totp.items()}
        reply = run.told(command, at_ms)
        taken.append(getattr(reply, "guess_id", taken[-1]))
        assert factors.invariant(run.state) == []
        assert all(run.state.totp[name].last_step >= step for name, step in before.items() if name in run.state.totp)
    run.check_replay()
