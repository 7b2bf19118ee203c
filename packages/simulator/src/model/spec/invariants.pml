/* What must hold, under the names of docs/protocol.md. */
#include "invariant.pml"

/* Of a client the first occurrences stand in the results topic in its order. */
inline results_are_in_order(seq) {
  invariant("results: no record of a client while an older one of it is not there",
    ((kind[seq] == OTHER -> theirs : all_seqs() & ~theirs) & below(seq) & ~handled) == 0)
}

/* A client sees each of its results once, in order. Without memory it may see a repeat, never a gap. */
inline exactly_once_in_order(seq) {
#if REMEMBERS
  invariant("exactly once, in order: no repeat", seq > shown);
#endif
  x = shown + 1;
  do
  :: x < seq -> invariant("exactly once, in order: no gap", kind[x] != EVENT); x++
  :: else -> break
  od
}

/*
 * A handler that ran again may have ended otherwise: shown is what came first. A client without memory, whose mailbox is
 * trimmed late, may see a repeat, and then whichever.
 */
inline the_first_counts(is_of_repeat) {
  invariant("the first result counts", !(is_of_repeat) || (!REMEMBERS && SLOW_TRIMS))
}

/* Nothing of this client lies between prev and seq, whichever router says so: said to the session of the route. */
inline a_push_states_a_fact(before, seq) {
  x = before + 1;
  do
  :: x < seq -> invariant("a push states a fact", kind[x] == OTHER); x++
  :: else -> break
  od;
  invariant("a push states a fact: prev is older", before < seq && kind[seq] == EVENT)
}

/* `z`: whether a record of this client is missing between what is acknowledged and the highest of these. */
inline find_missing(these) {
  x = seqs;
  z = 0;
  do
  :: x > client_acked && (kind[x] == OTHER || (these & bit(x)) == 0) -> x--
  :: else -> break
  od;
  do
  :: x > client_acked -> z = (z || (kind[x] != OTHER && (these & bit(x)) == 0)); x--
  :: else -> break
  od
}

/* Neither the backlog nor a mailbox has a record while an older one is neither there nor acknowledged. */
inline mailbox_is_in_order() {
  find_missing(store.mailbox);
  invariant("mailbox: no record while an older one is neither there nor acknowledged", z == 0)
}
inline dlq_is_in_order() {
  find_missing(shelved);
  invariant("backlog: no record while an older one is neither there nor acknowledged", z == 0)
}

/* A record leaves a place only when it is in the next, or the client has it. */
inline nothing_is_lost_before(offset) {
  x = 0;
  do
  :: x < offset ->
    y = seq_of(results[x]);
    invariant("nothing is lost: what is before the commit is in the backlog, or its client has it",
      (shelved & bit(y)) != 0 || (kind[y] != OTHER && y <= client_acked));
    x++
  :: else -> break
  od
}
inline nothing_is_trimmed_too_early() {
  invariant("nothing is lost: only what the client acknowledged is trimmed", store.acked <= client_acked)
}

inline the_window_holds(p) {
  x = 1;
  y = 0;
  do
  :: x <= seqs -> y = y + ((session[p].sent >> x) & 1); x++
  :: else -> break
  od;
  invariant("bounds: the window", y <= WINDOW)
}

/* A pod never uses an epoch of its own twice, or it would take an older session's barrier for that of a newer one. */
inline an_epoch_is_used_once(p, before) {
#ifndef NO_RULE_EPOCHS_OF_A_POD_GROW
  invariant("epochs: a pod never uses one of its own twice", session[p].epoch > before)
#else
  skip
#endif
}

/* Of two sessions the newer one has the higher epoch, unless the clock stands, and so it is the older one that closes. */
#define is_lower_or_own(p, q) ((q) == (p) || session[q].epoch < session[p].epoch)
inline a_newer_epoch_is_higher(p) {
  invariant("epochs: the newer session has the higher one",
    CLOCK_STANDS || REPLAYED || (is_lower_or_own(p, 1) && is_lower_or_own(p, PODS)))
}

/* LIVE is reported when everything older than the connection has come out. */
inline live_is_a_fact(p) {
  invariant("LIVE: nothing older than the connection is under way", session[p].delivered >= session[p].since)
}
