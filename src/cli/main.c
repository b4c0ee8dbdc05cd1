/* SPDX-License-Identifier: MIT
 * idem: finds the command, runs it, and sees to it that all output has arrived. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "idem.h"

enum { TEXT_MAX = 1 << 20 };

static int usage(const char *fmt, const char *what)
{
    struct idem_err err = {0};
    err_set(&err, IDEM_ERR_USAGE, fmt, what);
    return cli_fail(NULL, &err);
}

static int unknown_command(const char *word)
{
    const char *names[64];
    size_t n = 0;
    for (; cli_commands[n] && n < sizeof names / sizeof names[0]; n++)
        names[n] = cli_commands[n]->name;
    const char *near = cli_nearest(word, names, n);
    struct idem_err err = {0};
    if (near)
        err_set(&err, IDEM_ERR_USAGE, "unknown command '%s'; did you mean 'idem %s'?", word, near);
    else
        err_set(&err, IDEM_ERR_USAGE, "unknown command '%s'; 'idem -h' lists the commands", word);
    return cli_fail(NULL, &err);
}

static int print_help(const char *name)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    const struct cli_command *c = name ? cli_find_command(name) : NULL;
    if (name && !c)
        return unknown_command(name);
    if (c)
        cli_help_command(&b, c);
    else
        cli_help_main(&b);
    return cli_write_buf(&(struct cli_args){0}, &b);
}

/* For the build: manual pages and completions. "idem" stands for the page of idem itself. */
static int dump(const char *option, const char *what)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    if (strcmp(option, "--dump-commands") == 0) {
        for (size_t i = 0; cli_commands[i]; i++)
            buf_addf(&b, "%s\n", cli_commands[i]->name);
    } else if (!what) {
        return usage("%s needs a name", option);
    } else if (strcmp(option, "--dump-completion") == 0) {
        if (cli_completion(&b, what) != 0)
            return usage("no completion for '%s'; there is bash, zsh and fish", what);
    } else if (strcmp(what, "idem") == 0) {
        cli_man_main(&b);
    } else {
        const struct cli_command *c = cli_find_command(what);
        if (!c)
            return unknown_command(what);
        cli_man_command(&b, c);
    }
    return cli_write_buf(&(struct cli_args){0}, &b);
}

static int run_command(const struct cli_command *c, int argc, char **argv)
{
    struct cli_args a;
    struct idem_err err = {0};
    int rc = cli_parse(c, argc, argv, &a, &err);
    a.command = c;
    if (rc != 0)
        rc = cli_fail(&a, &err);
    else
        rc = a.help ? print_help(c->name) : c->exec(&a);
    cli_args_release(&a);
    return rc;
}

static int dispatch(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word)
        return usage("%s", "say a command; 'idem -h' lists them");
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "help") == 0)
        return print_help(argc > 2 ? argv[2] : NULL);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("idem %s (%s)\n", IDEM_VERSION, IDEM_NUMERICS);
        return CLI_DONE;
    }
    if (strncmp(word, "--dump-", 7) == 0)
        return dump(word, argc > 2 ? argv[2] : NULL);
    const struct cli_command *c = cli_find_command(word);
    if (!c)
        return word[0] == '-' ? usage("unknown option '%s'; 'idem -h' lists the commands", word)
                              : unknown_command(word);
    return run_command(c, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);   /* a reader that is gone is an error like a full disk */
    signal(SIGXFSZ, SIG_IGN);   /* so is a file that may grow no further (ulimit -f) */
    int rc = dispatch(argc, argv);
    errno = 0;
    bool bad = fflush(stdout) != 0 || ferror(stdout);
    int why = errno;
    bad = fclose(stdout) != 0 || bad;
    if (bad) {
        fprintf(stderr, "idem: cannot write to standard output: %s\n",
                why ? strerror(why) : "it was closed or is full");
        rc = CLI_ERROR;
    }
    return rc;
}
