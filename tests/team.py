"""The project of most tests and its people; each is made at the first call and found again afterwards."""

from projects import services
from projects.models import Membership, Privacy, Project, Role, User

PASSWORD = "correct horse battery"


def person(email: str) -> User:
    """Someone with a password."""
    return User.objects.filter(email=email).first() or User.objects.create_user(email, PASSWORD)


def project() -> Project:
    """The owner's project with a member and a reader; connected to nothing."""
    found = Project.objects.filter(slug="support-agent").first()
    if found is not None:
        return found
    made = services.create_project("Support agent", owner=person("owner@example.com"), privacy=Privacy.FULL)
    Membership.objects.create(project=made, user=person("member@example.com"), role=Role.MEMBER)
    Membership.objects.create(project=made, user=person("reader@example.com"), role=Role.READER)
    return made
