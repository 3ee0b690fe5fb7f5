# Functions that find or start the services of the second half of .ci/run.

RABBITMQ=${TEST_RABBITMQ_URL:-amqp://guest:guest@127.0.0.1:5672//}
REDIS=${TEST_REDIS_URL:-redis://127.0.0.1:6379/5}
POSTGRES=${TEST_DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres}
S3_PORT=${TEST_S3_PORT:-9155}
MISSING=()

# A failure under CI=true, else noted: what needs it is left out.
missing() {
	echo "missing: $1; what needs it is not run (with CI=true this is a failure)" >&2
	[ "${CI:-}" != true ] || exit 1
	MISSING+=("$1")
}

lacks() { case " ${MISSING[*]:-} " in *" $1 "*) ;; *) return 1 ;; esac; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

debian_install() {
	command -v apt-get >/dev/null || return 1
	as_root apt-get install -y -q "$@" >/dev/null 2>&1 ||
		{ as_root apt-get update -q >/dev/null 2>&1 && as_root apt-get install -y -q "$@" >/dev/null 2>&1; }
}

find_chromium() {
	if command -v chromium >/dev/null || debian_install chromium; then
		chromium --version --no-sandbox
	else
		missing Chromium
	fi
}

# The fault tests start services of their own, and kill them.
find_fault_services() {
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null ||
		install_postgres || missing "the programs of Postgres"
	command -v redis-server >/dev/null || debian_install redis-server || missing redis-server
	command -v rabbitmq-server >/dev/null || debian_install rabbitmq-server || missing rabbitmq-server
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for_port() { # port, seconds
	for _ in $(seq "$2"); do answers "$1" && return 0; sleep 1; done
	return 1
}

install_postgres() {
	local fresh=no version
	[ -n "$(ls /etc/postgresql 2>/dev/null)" ] || fresh=yes
	debian_install postgresql || return 1
	# Debian asks for a password that nobody has set yet. A cluster that was here before keeps
	# its rules: TEST_DATABASE_URL can say its password.
	[ "$fresh" = yes ] || return 0
	version=$(ls /etc/postgresql | sort -V | tail -n 1)
	trust_this_machine "/etc/postgresql/$version/main/pg_hba.conf"
	as_root pg_ctlcluster --skip-systemctl-redirect "$version" main reload || true # if it runs
}

start_postgres() {
	install_postgres || return 1
	local version
	version=$(ls /etc/postgresql | sort -V | tail -n 1)
	as_root pg_ctlcluster --skip-systemctl-redirect "$version" main start || true # it may run
}

trust_this_machine() { # pg_hba.conf
	as_root sed -i -E 's|^(host +all +all +127\.0\.0\.1/32 +).*|\1trust|' "$1"
}

# Queues keep the arguments they were first declared with, and a broker refuses others: the tests
# get a virtual host without any, where rabbitmqctl can make one.
fresh_virtual_host() {
	[ -z "${TEST_RABBITMQ_URL:-}" ] && command -v rabbitmqctl >/dev/null || return 0
	as_root rabbitmqctl -q delete_vhost cytoloop-test >/dev/null 2>&1 || true # it may be absent
	if as_root rabbitmqctl -q add_vhost cytoloop-test &&
		as_root rabbitmqctl -q set_permissions -p cytoloop-test guest '.*' '.*' '.*'; then
		RABBITMQ=amqp://guest:guest@127.0.0.1:5672/cytoloop-test
	fi
}

find_services() {
	answers 5432 || start_postgres || true
	answers 6379 || { debian_install redis-server && redis-server --daemonize yes --bind 127.0.0.1 --save "" >/dev/null; } || true
	answers 5672 || { debian_install rabbitmq-server && as_root rabbitmq-server -detached; } || true
	wait_for_port 5432 20 || missing Postgres
	wait_for_port 6379 20 || missing Redis
	if wait_for_port 5672 40; then fresh_virtual_host; else missing RabbitMQ; fi
	# An S3 server over the wire; the storage code is the same against any other.
	.venv/bin/moto_server -H 127.0.0.1 -p "$S3_PORT" >/dev/null 2>&1 &
	trap 'kill '"$!"' 2>/dev/null || true' EXIT
	wait_for_port "$S3_PORT" 30 || missing S3
}

with_services() { # RabbitMQ or Redis, command…
	local broker=$REDIS own=-redis base=${POSTGRES%%\?*}
	[ "$1" = Redis ] || { broker=$RABBITMQ own=; }
	shift
	# Django makes the database test_NAME; the one that the address names need not be there.
	env OMP_NUM_THREADS=1 PYTHONFAULTHANDLER=1 DATABASE_URL="$base$own${POSTGRES#"$base"}" BROKER_URL="$broker" \
		CYTOLOOP_VAR="$PWD/var/test-services$own" \
		S3_BUCKET="cytoloop-test$own" S3_ENDPOINT_URL="http://127.0.0.1:$S3_PORT" \
		S3_ACCESS_KEY=test S3_SECRET_KEY=test "$@"
}
