"""Children share out the work: answers come in order, and a death costs one try."""

import psutil
import pytest

from kia.errors import KIAError
from kia.processes.crew import Crew, Lost, Task, answers
from kia.processes.messages import Garbled, Message


def test_answers_come_in_order_and_few_wait():
    read = []

    def asked():
        for number in range(200):
            read.append(number)
            yield Message(number, [b"x" * number])

    for number, answer in enumerate(answers("jobs_of_a_test:work", asked(), 2)):
        assert answer.value[0] == number and len(answer.pieces[0]) == number
        assert len(read) <= number + 5
    assert len(read) == 200


def test_long_requests_and_long_answers_do_not_wait_for_each_other():
    large = bytes(1 << 21)
    asked = (Message(number, [large]) for number in range(12))
    found = list(answers("jobs_of_a_test:work", asked, 2))
    assert [answer.value[0] for answer in found] == list(range(12))


def test_a_child_that_is_killed_is_replaced_once(tmp_path):
    asked = [Message(["once", str(tmp_path / "tried")]), *map(Message, range(5))]
    found = list(answers("jobs_of_a_test:work", asked, 2))
    assert [answer.value[0] for answer in found] == ["once", *range(5)]
    with pytest.raises(KIAError, match="a process of kia ended with -9; the machine may be out of"):
        list(answers("jobs_of_a_test:work", [Message("die")], 2))


def test_an_early_end_leaves_no_child():
    before = psutil.Process().children()
    found = answers("jobs_of_a_test:work", map(Message, range(99)), 3)
    next(found)
    assert len(psutil.Process().children()) > len(before)
    found.close()
    assert psutil.Process().children() == before


@pytest.fixture
def make_crew():
    made = []

    def make(**options) -> Crew:
        options = {"most": 1 << 20, "understand": lambda answer: answer.value[0]} | options
        made.append(Crew("jobs_of_a_test:work", 2, **options))
        return made[-1]

    yield make
    for crew in made:
        crew.dismiss()


def test_children_that_die_while_idle_cost_nothing(make_crew):
    others = {child.pid for child in psutil.Process().children()}  # METEOR of other tests
    crew = make_crew()
    for number in range(3):
        tasks = [Task(Message(number)) for _ in range(2)]
        crew.add(tasks)
        crew.finish(tasks)
        assert [(task.outcome, task.tries) for task in tasks] == [(number, 0)] * 2
        for child in psutil.Process().children():
            if child.pid not in others:
                child.kill()
                child.wait()


def test_what_hangs_is_given_up_after_two_tries_and_the_rest_goes_on(make_crew):
    crew = make_crew(within=1.0, ahead=2)
    tasks = [Task(Message(word)) for word in (1, "stop", 2, 3)]
    crew.add(tasks)
    crew.finish(tasks)
    lost = tasks[1].outcome
    assert isinstance(lost, Lost) and isinstance(lost.error, TimeoutError)
    assert [task.outcome for task in tasks if task is not tasks[1]] == [1, 2, 3]


def test_who_answers_nonsense_is_replaced(make_crew):
    def understand(answer: Message) -> int:
        seen.append(answer.value[1])
        raise Garbled("nonsense")

    seen = []
    crew = make_crew(understand=understand)
    task = Task(Message(1))
    crew.add([task])
    crew.finish([task])
    assert isinstance(task.outcome, Lost) and isinstance(task.outcome.error, Garbled)
    assert len(set(seen)) == 2  # two processes
