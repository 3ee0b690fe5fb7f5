# Functions that find or start the services of the second half of .ci/run.

RABBITMQ=${TEST_RABBITMQ_URL:-amqp://guest:guest@127.0.0.1:5672//}
REDIS=${TEST_REDIS_URL:-redis://127.0.0.1:6379/5}
POSTGRES=${TEST_DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres}
S3_PORT=${TEST_S3_PORT:-9155}

# Missing: a failure under CI=true, else a note and the end of the run.
missing() {
	echo "missing: $1" >&2
	[ "${CI:-}" = true ] && exit 1
	echo "Not run without it; set CI=true to make this a failure." >&2
	exit 0
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

debian_install() {
	command -v apt-get >/dev/null || return 1
	as_root apt-get install -y -q "$@" >/dev/null 2>&1 ||
		{ as_root apt-get update -q >/dev/null 2>&1 && as_root apt-get install -y -q "$@" >/dev/null 2>&1; }
}

need_chromium() {
	command -v chromium >/dev/null || debian_install chromium || missing "chromium (the browser tests)"
	chromium --version --no-sandbox
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for_port() { # port, seconds
	for _ in $(seq "$2"); do answers "$1" && return 0; sleep 1; done
	return 1
}

start_services() {
	answers 5432 || { debian_install postgresql && as_root pg_ctlcluster --skip-systemctl-redirect "$(ls /etc/postgresql)" main start; } || true
	answers 6379 || { debian_install redis-server && redis-server --daemonize yes --bind 127.0.0.1 --save "" >/dev/null; } || true
	answers 5672 || { debian_install rabbitmq-server && as_root rabbitmq-server -detached; } || true
	wait_for_port 5432 20 || missing "Postgres on 127.0.0.1:5432"
	wait_for_port 6379 20 || missing "Redis on 127.0.0.1:6379"
	wait_for_port 5672 40 || missing "RabbitMQ on 127.0.0.1:5672"
	# An S3 server over the wire; the storage code is the same against any other.
	.venv/bin/moto_server -H 127.0.0.1 -p "$S3_PORT" >/dev/null 2>&1 &
	trap 'kill '"$!"' 2>/dev/null || true' EXIT
	wait_for_port "$S3_PORT" 30 || missing "an S3 server on 127.0.0.1:$S3_PORT"
	with_services "$RABBITMQ" .venv/bin/python manage.py storage_prepare
}

with_services() { # broker URL, command…
	local broker=$1
	shift
	env OMP_NUM_THREADS=2 DATABASE_URL="$POSTGRES" BROKER_URL="$broker" CYTOLOOP_VAR="$PWD/var/test-services" \
		S3_BUCKET=cytoloop-test S3_ENDPOINT_URL="http://127.0.0.1:$S3_PORT" \
		S3_ACCESS_KEY=test S3_SECRET_KEY=test "$@"
}
