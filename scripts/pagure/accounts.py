"""Makes the users of the stories and prints a line with name and API token for each."""
import datetime
import secrets

import pagure.config
import pagure.lib.login
import pagure.lib.model_base
import pagure.lib.query as query

config = pagure.config.config
session = pagure.lib.model_base.create_session(config["DB_URL"])
expiry = datetime.date.today() + datetime.timedelta(days=2)
# The last one is waited for.
for name, acls in (
    ("strata", ["commit_flag", "pull_request_comment", "modify_project"]),
    ("stranger", ["commit", "fork_project", "pull_request_create"]),
    ("releng", list(config["ACLS"])),
):
    query.set_up_user(session, username=name, fullname=name, default_email=name + "@example.org")
    # Git over HTTP compares it, and fails without one, before it looks for a token.
    password = pagure.lib.login.generate_hashed_value(secrets.token_hex())
    query.get_user(session, name).password = password
    query.add_token_to_user(
        session, project=None, acls=acls, username=name, expiration_date=expiry, description="test"
    )
    session.commit()
    print(name, query.get_user(session, name).tokens[0].id, flush=True)
