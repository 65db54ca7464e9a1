# Sourced by tests/run: Debian packages with the real initiators, and a virtual environment with the project in it.
# Packages are installed only when something is missing, so that a plain user with everything in place can run tests.
VENV=${IETPY_TEST_VENV:-$PWD/.test-venv}
needed=(iscsi-inq:libiscsi-bin qemu-img:qemu-utils qemu-system-x86_64:qemu-system-x86 losetup:mount tgtd:tgt
    istgt:istgt mkfs.xfs:xfsprogs cc:gcc shellcheck:shellcheck systemd-analyze:systemd man:man-db mandoc:mandoc
    chromium:chromium chromedriver:chromium-driver)
files=(/usr/include/stdio.h:libc6-dev /usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so:qemu-block-extra
    /usr/lib/ipxe/qemu/pxe-e1000.rom:ipxe-qemu)
missing=()
for pair in "${needed[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
for pair in "${files[@]}"; do [ -e "${pair%%:*}" ] || missing+=("${pair##*:}"); done
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "tests/run: run once as root, or install: ${missing[*]}" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
stamp=$VENV/.installed
if [ ! -e "$stamp" ] || [ setup.cfg -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check -e '.[test,docs]'
    touch "$stamp"
fi
