"""What gunicorn serves: `gunicorn --config python:gateway.serving gateway.wsgi:application`."""

from gateway.app import create_app
from gateway.waiting import Doorbell
from shared import logging, settings
from shared.broker import Publisher, celery_app
from shared.db import Database

logging.configure("gateway")
configuration = settings.load()
_celery = celery_app(configuration, silence=2.0)  # a client is waiting
_doorbell = Doorbell(_celery)
_doorbell.listen()
application = create_app(
    configuration,
    Database(configuration.database_url, configuration.database_pool),
    Publisher(_celery),
    _doorbell,
)
