#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what the build made, or removes it again.
# usage: install.sh BUILD PREFIX VERSION SONAME
#        install.sh --remove PREFIX VERSION SONAME
set -eu
build=$1 prefix=$2 version=$3 soname=$4

if [ "$build" = --remove ]; then
    rm -f "$prefix/bin/idem" "$prefix/include/idem.h" "$prefix/include/idem_err.h" \
        "$prefix/lib/libidem.a" "$prefix/lib/libidem.so" "$prefix/lib/$soname" \
        "$prefix/lib/libidem.so.$version" "$prefix/lib/pkgconfig/idem.pc" \
        "$prefix/share/man/man1/idem.1" "$prefix"/share/man/man1/idem-*.1 \
        "$prefix/share/bash-completion/completions/idem" \
        "$prefix/share/zsh/site-functions/_idem" \
        "$prefix/share/fish/vendor_completions.d/idem.fish"
    exit 0
fi

install -d "$prefix/bin" "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/share/man/man1" \
    "$prefix/share/bash-completion/completions" "$prefix/share/zsh/site-functions" \
    "$prefix/share/fish/vendor_completions.d"
install -m 755 "$build/idem" "$prefix/bin/idem"
install -m 644 include/idem.h include/idem_err.h "$prefix/include/"
install -m 644 "$build/libidem.a" "$prefix/lib/libidem.a"
install -m 755 "$build/libidem.so" "$prefix/lib/libidem.so.$version"
ln -sf "libidem.so.$version" "$prefix/lib/$soname"
ln -sf "$soname" "$prefix/lib/libidem.so"
install -m 644 "$build/idem.pc" "$prefix/lib/pkgconfig/idem.pc"
install -m 644 "$build"/man/*.1 "$prefix/share/man/man1/"
install -m 644 "$build/completions/idem" "$prefix/share/bash-completion/completions/idem"
install -m 644 "$build/completions/_idem" "$prefix/share/zsh/site-functions/_idem"
install -m 644 "$build/completions/idem.fish" "$prefix/share/fish/vendor_completions.d/idem.fish"
echo "installed to $prefix"
