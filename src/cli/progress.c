/* SPDX-License-Identifier: MIT
 * A progress bar with time left on a terminal, a rare plain line elsewhere; Ctrl-C. */
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

double cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void cli_duration(char out[32], double seconds)
{
    unsigned long s = seconds < 0 ? 0 : seconds > 1e9 ? 1000000000ul : (unsigned long)(seconds + 0.5);
    if (s < 60)
        snprintf(out, 32, "%lu s", s);
    else if (s < 3600)
        snprintf(out, 32, "%lu min %lu s", s / 60, s % 60);
    else
        snprintf(out, 32, "%lu h %lu min", s / 3600, s % 3600 / 60);
}

void cli_bytes(char out[32], uint64_t n)
{
    if (n < 1000)
        snprintf(out, 32, "%u B", (unsigned)n);
    else if (n < 1000000)
        snprintf(out, 32, "%.1f kB", (double)n / 1e3);
    else if (n < 1000000000)
        snprintf(out, 32, "%.1f MB", (double)n / 1e6);
    else
        snprintf(out, 32, "%.2f GB", (double)n / 1e9);
}

void cli_progress_start(struct cli_progress *p, const struct cli_args *a, const char *what)
{
    *p = (struct cli_progress){
        .what = what, .off = a->quiet, .terminal = isatty(STDERR_FILENO) != 0,
        .start = cli_now(), .last_tenth = 0,
    };
}

/* On a terminal ten times a second at most; elsewhere at every tenth, and not within ten seconds. */
static bool due(struct cli_progress *p, double now, double done)
{
    if (p->terminal)
        return now - p->last >= 0.1;
    int tenth = (int)(done * 10);
    if (tenth == p->last_tenth || now - (p->last > 0 ? p->last : p->start) < 10)
        return false;
    p->last_tenth = tenth;
    return true;
}

/* Bytes of the line that the terminal has room for: a line that wraps could not be wiped. */
static size_t fitting(const char *line)
{
    struct winsize w;
    size_t len = strlen(line);
    size_t room = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col - 1u : 79;
    while (len && cli_columns(line, len) > room)
        do
            len--;
        while (len && ((unsigned char)line[len] & 0xC0) == 0x80);
    return len;
}

void cli_progress_show(struct cli_progress *p, double done, double eta_s, const char *detail)
{
    double now = cli_now();
    if (p->off || now - p->start < 1 || !due(p, now, done))
        return;
    done = done < 0 ? 0 : done > 1 ? 1 : done;
    if (eta_s < 0 && done > 0.01)
        eta_s = (now - p->start) * (1 - done) / done;
    char left[32] = "?";
    if (eta_s >= 0)
        cli_duration(left, eta_s);
    p->last = now;
    if (p->terminal) {
        enum { CELLS = 16 };
        char bar[CELLS + 1];
        for (int i = 0; i < CELLS; i++)
            bar[i] = i < (int)(done * CELLS) ? '#' : '.';
        bar[CELLS] = '\0';
        char line[256];
        snprintf(line, sizeof line, "%s [%s] %3.0f%%  %s left  %s", p->what, bar, done * 100, left, detail);
        fprintf(stderr, "\r%.*s\033[K", (int)fitting(line), line);
        fflush(stderr);
        p->shown = true;
    } else {
        fprintf(stderr, "%s: %.0f%%, %s left, %s\n", p->what, done * 100, left, detail);
    }
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

/* The one mutable global: a signal handler can reach nothing else. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    if (interrupted)
        _exit(CLI_INTERRUPTED);
    interrupted = 1;
    static const char note[] = "\nidem: stopping; Ctrl-C again leaves at once\n";
    ssize_t ignored = write(STDERR_FILENO, note, sizeof note - 1);
    (void)ignored;
}

const volatile sig_atomic_t *cli_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    return &interrupted;
}
