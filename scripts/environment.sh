# Virtual environments for the scripts beside this file, which source it. Plain sh.
#
# Gives: bedside_root, bedside_pythons, say, fail, need_git, ensure_environment.
# shellcheck shell=sh

bedside_root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
bedside_pythons="3.10 3.11 3.12 3.13"

say() {
    printf '%s\n' "$*" >&2
}

# fail PROBLEM NEXT_STEP: say both and end.
fail() {
    say "bedside: $1"
    say "  $2"
    exit 1
}

need_git() {
    command -v git >/dev/null 2>&1 ||
        fail "git is missing." "Install it, then run this again:  sudo apt-get install git"
}

# Print "3.11" for the interpreter $1, nothing when it does not run.
python_version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :
}

supported() {
    case " $bedside_pythons " in
        *" $1 "*) [ -n "$1" ] ;;
        *) return 1 ;;
    esac
}

# Set python and version: $BEDSIDE_PYTHON if given, else python3, else a versioned one.
choose_python() {
    for python in ${BEDSIDE_PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        version=$(python_version "$python")
        if supported "$version"; then
            return
        fi
    done
    asked=${BEDSIDE_PYTHON:-python3}
    command -v "$asked" >/dev/null 2>&1 ||
        fail "$asked is missing." "Install it, then run this again:  sudo apt-get install python3 python3-venv"
    fail "$asked is Python $(python_version "$asked"); Bedside runs on Python $bedside_pythons." \
        "Install one of them and name it:  BEDSIDE_PYTHON=/path/to/python3.11 $0"
}

# Debian keeps venv and ensurepip in a package of their own.
need_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    package=python$version-venv
    [ "$python" = python3 ] && package=python3-venv
    fail "Python $version has no venv module." \
        "Install it, then run this again:  sudo apt-get install $package"
}

# ensure_environment NAME EXTRAS MESSAGE: bring $bedside_root/NAME up to date and set
# environment_bin to its bin folder. EXTRAS is "" or "[a,b]".
#
# The stamp is removed before an installation and written after it, so an environment without one
# was interrupted and is made afresh. Two scripts at once wait for each other on a lock of the folder.
ensure_environment() {
    choose_python
    environment=$bedside_root/$1
    environment_bin=$environment/bin
    stamp=$environment/installed
    previous_folder=$PWD
    cd "$bedside_root"
    mkdir -p "$environment"
    exec 9<"$environment"
    if command -v flock >/dev/null 2>&1; then
        flock 9
    fi
    identity=$(printf '%s\n' "$bedside_root" "$2" "$("$python" -VV)" | sha256sum)
    inputs=$(cat pyproject.toml "constraints/py$version.txt" | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$identity $inputs" ]; then
        need_venv
        say "$3"
        install_environment "$2"
        printf '%s\n' "$identity $inputs" >"$stamp"
    fi
    exec 9<&-
    cd "$previous_folder"
}

# Install into $environment, in place if it is whole and only pyproject.toml or the versions changed.
install_environment() { # extras
    case $(cat "$stamp" 2>/dev/null) in
        "$identity "*) ;;
        *)
            "$python" -m venv --clear "$environment" ||
                fail "The virtual environment $environment could not be made." \
                    "The lines above say why."
            ;;
    esac
    rm -f "$stamp"
    "$environment_bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "constraints/py$version.txt" --editable ".$1" ||
        fail "The installation did not finish." \
            "The lines above say why. Check network and disk space, then run this again."
}

# The environment of developers: every extra, the training part included.
ensure_development_environment() {
    need_git
    ensure_environment .venv-dev "[dashboard,dev,mqtt,report,tensorboard,train]" \
        "Installing everything for development, once, some minutes (PyTorch is large) ..."
}
