/* A gateway (a pod), and its session of the client. What it delivers goes into a socket, and from there to the client. */

#define is_open(p) (session[p].status >= REPLAYING)
#define is_alive(p) ((crashed & bit(p)) == 0)
#if STALE_PAGES
#define records(p) session[p].page
#define is_short(p) session[p].page_is_short
#define repeats_of(p) session[p].page_repeats
#define route_of(p, seq) session[p].page_route[seq]
#else
#define records(p) store.mailbox
#define is_short(p) true
#define repeats_of(p) store.repeats
#define route_of(p, seq) store.route[seq]
#endif
#define copy_routes(to, from)                                                                                           \
  i = 0;                                                                                                               \
  do                                                                                                                   \
  :: i <= SEQS -> to[i] = from[i]; i++                                                                                 \
  :: else -> break                                                                                                     \
  od
#if STALE_PAGES
inline end_page(p) {
  session[p].has_page = false;
  session[p].page_is_short = false;
  session[p].page = 0;
  session[p].page_repeats = 0;
  session[p].page_acked = 0;
  i = 0;
  do
  :: i <= SEQS -> session[p].page_route[i] = 0; i++
  :: else -> break
  od
}
#endif
/* At most `window` results are delivered and not acknowledged. */
#ifdef NO_RULE_WINDOW
#define has_room(p) true
#elif WINDOW == 1
#define has_room(p) (session[p].sent == 0)
#elif WINDOW == 2
#define has_room(p) ((session[p].sent & (session[p].sent - 1)) == 0)
#else
#define has_room(p) true
#endif

inline end_session(q) {
#ifdef NO_RULE_BARRIER_SETS_DELIVERED
  passed[q] = 0;
#endif
#ifdef NO_RULE_LIVE_BY_ONE_PAGE
  met[q] = 0;
#endif
  session[q].status = CLOSED;
  session[q].after = 0;
  session[q].delivered = 0;
  session[q].acked = 0;
  session[q].sent = 0;
  session[q].repeats = 0;
  session[q].route = 0;
  session[q].asked = false;
  session[q].since = 0;
#if STALE_PAGES
  end_page(q);
#endif
  forget_dead_routes()
}

/* The session ends: the socket with it. */
inline close(p) {
  if
  :: connected == p -> connected = NOBODY; read = 0
  :: else -> skip
  fi;
  end_session(p)
}

/* The client's end of the socket dies. */
inline lose_socket() {
#if !DEAD_SOCKETS
  end_session(connected);
#endif
  connected = NOBODY;
  read = 0
}

/* An older session of this pod is superseded at once, one elsewhere when its pod asks the registry. */
inline connect(p, its_epoch) {
  lose_socket();
  end_session(p);
  before = session[p].epoch;
  session[p].epoch = its_epoch;
  an_epoch_is_used_once(p, before);
  a_newer_epoch_is_higher(p);
  session[p].status = OPENING;
  session[p].since = seqs;
#if REMEMBERS
#ifndef NO_RULE_AFTER
  session[p].after = shown;
#endif
#endif
  connected = p;
  connects++
}

/* `delivered` starts at max(after, acked); a client's `after` is an ack of all up to it. */
inline open(p, acked_there) {
  session[p].status = REPLAYING;
  session[p].delivered = more(session[p].after, acked_there);
  session[p].acked = session[p].delivered;
  client_acked = more(session[p].after, client_acked);
  pass_on(session[p].after)
}

/* To the router and the mailbox. */
inline pass_on(seq) {
  passed_on = more(seq, passed_on);
#if !SLOW_TRIMS
  trim(passed_on);
#endif
#if !OTHERS
  shelved = above(shelved, client_acked)
#endif
}

inline deliver(p, seq, is_of_repeat) {
#ifdef NO_RULE_ONLY_CLIENTS_ACK_TRIMS
  trim(seq);
#endif
  session[p].sent = session[p].sent | bit(seq);
  session[p].repeats = session[p].repeats | (is_of_repeat -> bit(seq) : 0);
#if !OWN_SOCKET
  received = received | bit(seq);
#endif
  session[p].delivered = seq;
  the_window_holds(p)
}

/* The lowest record above delivered. A record met while LIVE leads back to REPLAYING. */
#ifdef NO_RULE_SWEEP
#define looks(p) (session[p].status == REPLAYING)
#else
#define looks(p) is_open(p)
#endif
#ifdef NO_RULE_BARRIER_SETS_DELIVERED
#define reached(p) more(session[p].delivered, passed[p])
#else
#define reached(p) session[p].delivered
#endif
#define has_mail(p) (looks(p) && above(records(p), reached(p)) != 0)
inline next_mail(p, seq) {
  set = above(records(p), reached(p));
  lowest(set, seq)
}

inline deliver_from_mailbox(p, seq) {
  session[p].status = REPLAYING;
#ifdef NO_RULE_LIVE_BY_ONE_PAGE
  met[p] = 0;
#endif
  deliver(p, seq, (repeats_of(p) & bit(seq)) != 0)
}

#ifdef NO_RULE_OWN_BARRIER
#define is_own(p, seq) true
#else
#define is_own(p, seq) (barrier_pod[seq] == p && barrier_epoch[seq] == session[p].epoch)
#endif

/* Whether the page, which is short, ends with this record. */
#ifdef NO_RULE_LIVE_AT_THE_END
#define is_last(p, seq) true
#else
#define is_last(p, seq) (is_short(p) && above(records(p), seq) == 0)
#endif
/* Of its own barriers only the newest ends "under way". */
#ifdef NO_RULE_NEWEST_BARRIER
#define is_newest(seq) true
#else
#define is_newest(seq) ((newest_barriers & bit(seq)) != 0)
#endif

/*
 * A barrier is passed like any record. Its own, and the last one of a page, makes the session LIVE by the route in it.
 * A page of one record is the general case: more of them are several such steps with nothing between.
 */
inline pass_barrier(p, seq) {
  session[p].status = REPLAYING;
  n = route_of(p, seq);
  if
  :: is_own(p, seq) && is_newest(seq) -> session[p].asked = false
  :: else -> skip
  fi;
  if
  :: is_own(p, seq) && is_last(p, seq) && n != 0 ->
    session[p].status = LIVE;
    session[p].route = n
  :: else -> skip
  fi;
#ifdef NO_RULE_LIVE_BY_ONE_PAGE
  met[p] = (is_own(p, seq) -> n : 0);
#endif
#ifdef NO_RULE_BARRIER_SETS_DELIVERED
  passed[p] = seq;
#else
  session[p].delivered = seq;
  if
  :: session[p].sent == 0 -> acknowledge(p, seq)
  :: else -> skip
  fi;
#endif
  if
  :: session[p].status == LIVE -> live_is_a_fact(p); forget_dead_routes()
  :: else -> skip
  fi
}
/* Once all that was sent is acknowledged, acked = delivered, so that barriers are trimmed too. */
inline acknowledge(p, seq) {
  client_acked = more(seq, client_acked);
  session[p].acked = seq;
  pass_on(seq)
}
inline hear_ack(p, seq) {
  client_acked = more(seq, client_acked);
  session[p].sent = above(session[p].sent, seq);
  session[p].repeats = above(session[p].repeats, seq);
  session[p].acked = seq;
#ifndef NO_RULE_BARRIERS_TRIMMED
  if
  :: session[p].sent == 0 -> acknowledge(p, session[p].delivered)
  :: else -> skip
  fi;
#endif
  pass_on(seq)
}

/*
 * *From a push*: of the session's route, and prev ≤ delivered < seq. A session that takes pushes of any route would be one
 * whose route may be any at any time.
 */
#define was_pushed(p, seq) (session[p].route != 0 && (seq) <= seqs && pushed[push_at(session[p].route, seq)] != 0)
#define prev_of(p, seq) (seq_of(pushed[push_at(session[p].route, seq)]) - 1)
#define is_push_of_repeat(p, seq) (what_of(pushed[push_at(session[p].route, seq)]) == 1)
#ifdef NO_RULE_PREV
#define checks_prev(p, seq) true
#else
#define checks_prev(p, seq) (prev_of(p, seq) <= session[p].delivered)
#endif
#ifdef NO_RULE_REPEATED_PUSH
#define is_new(p, seq) true
#else
#define is_new(p, seq) ((seq) > session[p].delivered)
#endif
#define can_push(p, seq) (is_open(p) && was_pushed(p, seq) && is_new(p, seq) && checks_prev(p, seq) && has_room(p))

inline deliver_push(p, seq) {
  a_push_states_a_fact(prev_of(p, seq), seq);
  deliver(p, seq, is_push_of_repeat(p, seq))
}

/* A push that can't be delivered, for a gap or for its route, is held, or dropped: either leads from LIVE to REPLAYING. */
#ifdef REPLAY
#define has_gap(p) (session[p].status == LIVE && highest_pushed[p] > session[p].delivered)
#else
#define has_gap(p) (session[p].status == LIVE && newest > session[p].delivered)
#endif

inline publish_barrier(q, to) {
  publish(BARRIER);
  barrier_pod[seqs] = q;
  barrier_epoch[seqs] = to;
  i = 1;
  do
  :: i < seqs ->
    newest_barriers = newest_barriers & ~(barrier_pod[i] == q && barrier_epoch[i] == to -> bit(i) : 0);
    i++
  :: else -> break
  od;
  newest_barriers = newest_barriers | bit(seqs);
  barriers++
}

#if OWN_SOCKET
#define can_hear(p, seq) (connected == p && (seq) <= read)
#else
#define can_hear(p, seq) ((seq) <= shown)
#endif

#ifdef REPLAY
#define in_turn(p) true
#define time_passes() clock = arg2
#define is_page(p) is_front_of(above(store.mailbox, arg3), arg2)
#define is_whole(p) (above(store.mailbox, arg3) == arg2)
#define can_register(p) (arg2 <= session[p].epoch)
#define may_close(p) true
inline register(q, to) {
  if
  :: !is_superseded(q, to) -> write_registry(q, to)
  :: else -> skip
  fi
}
#else
/* Pods are alike: the first to connect is pod 1. */
#define in_turn(p) (connects > 0 || p == 1)
inline time_passes() {
#if CLOCK_STANDS
  if
  :: clock++
  :: clock == 0 -> clock = 1
  :: clock > 0
  fi
#else
  clock++
#endif
}
#define is_page(p) true
#define is_whole(p) true
/* Only where the registry may have forgotten something is there anything to see. */
#define can_register(p) \
  ((REGISTRY_WIPES || REGISTRY_ROLLBACKS) && session[p].status != CLOSED &&                                            \
   (registry_epoch != session[p].epoch || registry_pod != p))
#define may_close(p) (connected != p && !HALF_OPEN)
inline register(q, to) {
  if
  :: !is_superseded(q, to) -> write_registry(q, to)
  :: else ->
#ifdef NO_RULE_SUPERSEDED_CLOSES
    skip
#else
    close(q)
#endif
  fi
}
#endif

#ifdef NO_RULE_HELD_PREV
inline hold(p, seq) {
  if
  :: has_route(owner) && router[owner].pod == p && pushed[push_at(router[owner].route, seq)] != 0 -> held[p] = held[p] | bit(seq)
  :: else -> skip
  fi
}
#endif

proctype Gateway(byte p) {
end:
  do
  :: atomic { may(CONNECTS) && is(1, p) && connects < SESSIONS && is_alive(p) && in_turn(p) ->
       time_passes();
       d_step {
         if
         :: is(3, new_epoch(p)) ->
#ifdef REPLAY
           granted[p] = more(arg3, granted[p]);
           write_registry(p, arg3);
#else
           z = new_epoch(p);
           write_registry(p, z);
           connect(p, z);
#if !STALE_PAGES
           open(p, store.acked);
#endif
#endif
           done2("client connects to pod %d, epoch %d\n", p, registry_epoch)
         :: else -> refuse()
         fi } }
#ifdef REPLAY
  /* The pod hears of its epoch later than the registry has given it, and of a client's `after` with the first page. */
  :: atomic { may(OPENS) && is(1, p) && arg2 <= granted[p] ->
       d_step { connect(p, arg2); done2("pod %d begins epoch %d\n", p, arg2) } }
#endif
#if STALE_PAGES
  :: atomic { may(READS_PAGE) && is(1, p) && session[p].status != CLOSED && !session[p].has_page ->
       d_step {
         if
         :: is_page(p) ->
           session[p].page = as_told(2, store.mailbox);
           session[p].page_is_short = is_whole(p);
           session[p].page_repeats = store.repeats;
           copy_routes(session[p].page_route, store.route);
           session[p].has_page = true;
           session[p].page_acked = store.acked;
           done("pod %d reads a page\n", p)
         :: else -> refuse()
         fi } }
  :: atomic { may(GETS_PAGE) && is(1, p) && session[p].has_page && session[p].status == OPENING && at_most(2, shown) ->
       d_step {
         session[p].after = as_told(2, session[p].after);
         open(p, session[p].page_acked);
         done("pod %d opens the session\n", p) } }
  :: atomic { may(ENDS_PAGE) && is(1, p) && (REPLAYED || session[p].has_page) ->
       d_step {
         end_page(p);
         done("pod %d is done with the page\n", p) } }
#endif
  :: atomic { may(DELIVERS) && is(1, p) && has_mail(p) && has_room(p) ->
       d_step {
         next_mail(p, y);
         if
         :: kind[y] == EVENT && is(2, y) ->
           z = y;
           deliver_from_mailbox(p, z);
           done2("pod %d delivers seq %d from the mailbox\n", p, z)
         :: else -> refuse()
         fi } }
  :: atomic { may(PASSES_BARRIER) && is(1, p) && has_mail(p) ->
       d_step {
         next_mail(p, y);
         if
         :: kind[y] == BARRIER && is(2, y) ->
           z = y;
           pass_barrier(p, z);
           done2("pod %d passes the barrier seq %d\n", p, z)
         :: else -> refuse()
         fi } }
#ifdef REPLAY
  :: atomic { may(DELIVERS) && is(1, p) && can_push(p, arg2) ->
       d_step { deliver_push(p, arg2); done2("pod %d delivers seq %d from a push\n", p, arg2) } }
  :: atomic { may(HEARS_CLIENT) && is(1, p) && is_open(p) && arg2 > session[p].acked && can_hear(p, arg2) ->
       d_step { hear_ack(p, arg2); done2("pod %d hears ack %d\n", p, arg2) } }
  :: atomic { may(PASSES_ON) && arg1 <= passed_on -> d_step { done("an ack is passed on%d\n", 0) } }
  :: atomic { may(IS) && is(1, p) && session[p].status == arg2 -> d_step { done2("pod %d is %d\n", p, arg2) } }
#else
#define delivers_push(p, ahead)                                                                                        \
  atomic { can_push(p, session[p].delivered + ahead) ->                                                                \
    d_step {                                                                                                           \
      z = session[p].delivered + ahead;                                                                                \
      deliver_push(p, z);                                                                                              \
      printf("pod %d delivers seq %d from a push\n", p, z) } }
  :: delivers_push(p, 1)
  :: delivers_push(p, 2)
  :: delivers_push(p, 3)
#ifdef NO_RULE_REPEATED_PUSH
  :: atomic { session[p].delivered > 0 && can_push(p, session[p].delivered) ->
       d_step { z = session[p].delivered; deliver_push(p, z); read = 0 } }
#endif
#ifdef NO_RULE_ROUTE_IDS
  :: atomic { is_open(p) -> choose(s, 1, 1, ROUTES); d_step { session[p].route = (pod_of_route[s] == p -> s : session[p].route) } }
#endif
#ifdef NO_RULE_HELD_PREV
  /* Held for a gap, and delivered when the session goes LIVE. */
  :: atomic { session[p].status == REPLAYING -> choose(s, 1, 1, seqs); d_step { hold(p, s) } }
  :: atomic { session[p].status == LIVE && above(held[p], session[p].delivered) != 0 && has_room(p) ->
       d_step { set = above(held[p], session[p].delivered); lowest(set, z); deliver(p, z, false) } }
#endif
#ifdef NO_RULE_LIVE_BY_ONE_PAGE
  /* Its barrier was in an earlier page, and this one is empty. */
  :: atomic { session[p].status == REPLAYING && met[p] != 0 && above(records(p), session[p].delivered) == 0 ->
       d_step { session[p].status = LIVE; session[p].route = met[p]; met[p] = 0 } }
#endif
#ifdef NO_RULE_ONLY_CLIENTS_ACK
  /* A repeat is acknowledged by the gateway itself. */
  :: atomic { is_open(p) && REPEATED_PUSHES && session[p].delivered > 0 && was_pushed(p, session[p].delivered) -> d_step { pass_on(session[p].delivered) } }
#endif
  :: atomic { SLOW_ACKS && connected == p && is_open(p) && read > session[p].acked ->
       d_step { hear_ack(p, read); printf("pod %d hears ack %d\n", p, read) } }
#endif
  :: atomic { may_quietly(FALLS_BACK) && is(1, p) && has_gap(p) ->
       d_step { session[p].status = REPLAYING; done_quietly("pod %d sees a gap\n", p) } }
  /* A barrier may be published again, and appear late: at any time after its session began. */
  :: atomic { may(BARRIER_SENT) && is(2, p) && is(1, seqs + 1) && session[p].epoch > 0 && barriers < BARRIERS ->
       d_step {
         if
         :: at_most(3, session[p].epoch) ->
           publish_barrier(p, as_told(3, session[p].epoch));
           session[p].asked = (session[p].status != CLOSED);
           done2("barrier of pod %d, seq %d\n", p, seqs)
         :: else -> refuse()
         fi } }
#if LOST_BARRIERS
  :: atomic { session[p].status == REPLAYING && !session[p].asked && lost_barriers < LOST_BARRIERS ->
       d_step { session[p].asked = true; lost_barriers++; printf("the barrier of pod %d is lost\n", p) } }
#endif
  /* The registry is written again: the sweep. */
  :: atomic { may(REGISTERS) && is(1, p) && can_register(p) ->
       d_step {
         if
         :: is(3, is_superseded(p, as_told(2, session[p].epoch))) ->
           register(p, as_told(2, session[p].epoch));
           done("pod %d writes to the registry\n", p)
         :: else -> refuse()
         fi } }
  /* The gateway learns that the socket is gone, or that the session is superseded. */
  :: atomic { may(CLOSES) && is(1, p) && session[p].status != CLOSED && may_close(p) ->
       d_step { close(p); done("pod %d closes the session\n", p) } }
  od
}
