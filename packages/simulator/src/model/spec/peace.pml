/*
 * It ends: from every state, once faults stop and everyone takes his turn, the client is connected, LIVE and complete,
 * nothing is under way, and so it is after one more result, and while results keep coming. A few rounds must do.
 *
 * All of it is one step that leaves the state as it was: a question asked in every state.
 */
#define MAX_ROUNDS 6
#define FAULTS_STOP 0
#define ONE_MORE 1
#define TRAFFIC_GOES_ON 2

/* Zombies end. What was pushed before, or requested by event consumers, is lost. */
inline stop_faults() {
  c_code { memset(now.pushed, 0, sizeof now.pushed); };
  t = 1;
  do
  :: t <= ROUTERS ->
    if
    :: t != owner -> end_router(t)
    :: else -> skip
    fi;
    t++
  :: else -> break
  od;
#if OWNERS
  t = 1;
  do
  :: t <= OWNERS -> consumer[t].request = 0; t++
  :: else -> break
  od
#endif
}

#if OWNERS
#define is_all_handled() ((all_seqs() & ~handled) == 0 && unfinished(events_owner) == 0)
#else
#define is_all_handled() (unhandled() == 0)
#endif
#define is_closed_or_current(q) ((q) == connected || session[q].status == CLOSED)
#define is_alone() (is_closed_or_current(1) && is_closed_or_current(PODS))
#define is_read() (router[owner].position == results_end)

/* `x`: whether nothing is under way, and everyone has everything; under traffic also by the newest route. */
inline is_settled() {
  is_at(owner, INFLIGHT, WRITTEN);
  x = (x == 0 && connected != NOBODY && session[connected].status == LIVE && shown >= newest && is_read() &&
    is_all_handled() && store.mailbox == 0 && session[connected].sent == 0 && store.offset == dlq_end && is_alone() &&
    (phase < TRAFFIC_GOES_ON || (session[connected].route == router[owner].route && !session[connected].asked)))
}

/* For whoever reads a failure: where things got stuck. */
c_code {
  static void say_where(void) {
    printf("connected to pod %d, shown %d of %d seqs, %x handled; router %d at %d of %d, route %d; put %d of %d, "
           "mailbox %x, acked %d\n",
      now.connected, now.shown, now.seqs, now.handled, now.owner, now.router[now.owner].position, now.results_end,
      now.router[now.owner].route, now.store.offset, now.dlq_end, now.store.mailbox, now.store.acked);
    for (int i = 1; i <= PODS; i++)
      printf("pod %d: status %d, epoch %d, route %d, delivered %d, acked %d, sent %x\n", i, now.session[i].status,
        now.session[i].epoch, now.session[i].route, now.session[i].delivered, now.session[i].acked, now.session[i].sent);
  }
}

inline settle() {
  round = 0;
  is_settled();
  x = x && phase < TRAFFIC_GOES_ON;
  do
  :: round < MAX_ROUNDS && x == 0 -> one_round(); round++; is_settled()
  :: else -> break
  od;
  if
  :: x == 0 -> c_code { say_where(); }
  :: else -> skip
  fi;
  invariant("it ends: LIVE and complete after faults stop", x == 1 || phase == TRAFFIC_GOES_ON);
  invariant("it ends: LIVE and complete under traffic", x == 1)
}

/*
 * Everyone takes his turn. Pushes arrive before the barrier of their route is in the mailbox. Under traffic each round has
 * one more result, behind the barriers that were sent in the round before.
 */
inline one_round() {
  gateways_sweep();
  client_connects();
  if
  :: phase == TRAFFIC_GOES_ON -> publish(EVENT)
  :: else -> skip
  fi;
  all_is_handled();
  all_is_read();
  part = 0;
  do
  :: part < 2 ->
    session_goes_on();
    if
    :: part == 0 -> all_is_put()
    :: else -> skip
    fi;
    part++
  :: else -> break
  od;
  on_ack(owner, passed_on);
  time_runs_out()
}

inline gateways_sweep() {
  t = 1;
  do
  :: t <= PODS ->
    if
    :: session[t].status != CLOSED -> sweep(t)
    :: else -> skip
    fi;
    t++
  :: else -> break
  od
}

inline sweep(q) {
  if
  :: connected != q && !HALF_OPEN -> close(q)
  :: else -> register(q, session[q].epoch)
  fi
}

inline client_connects() {
  if
  :: connected == NOBODY ->
    who = (is_alive(1) -> 1 : 2);
    clock++;
    n = new_epoch(who);
    write_registry(who, n);
    connect(who, n);
    open(who, store.acked)
  :: else -> skip
  fi
}

/* Its barrier is not back, and nothing is on its way. `x`: whether something waits for the backlog. */
#ifdef NO_RULE_BARRIER_AGAIN
#define is_overdue() false
#else
#define is_overdue() (x == 0 && store.offset == dlq_end && is_all_handled() && is_read())
#endif

inline session_goes_on() {
  who = connected;
#if STALE_PAGES
  if
  :: session[who].status == OPENING -> open(who, store.acked)
  :: else -> skip
  fi;
  session[who].page = store.mailbox;
  session[who].page_is_short = true;
  session[who].page_repeats = store.repeats;
  copy_routes(session[who].page_route, store.route);
#endif
  client_goes_on();
  do
  :: has_mail(who) -> one_mail()
  :: else -> break
  od;
  held_pushes_go_on();
  is_at(owner, SHELF, WRITTEN);
  if
  :: session[who].status == REPLAYING && (!session[who].asked || is_overdue()) ->
    publish_barrier(who, session[who].epoch);
    session[who].asked = true
  :: else -> skip
  fi;
  trim(passed_on)
}
inline held_pushes_go_on() {
  t = session[who].delivered + 1;
  do
  :: t <= seqs && can_push(who, t) -> deliver_push(who, t); client_goes_on(); t = session[who].delivered + 1
  :: t <= seqs && !can_push(who, t) -> t++
  :: else -> break
  od
}
inline one_mail() {
  next_mail(who, t);
  if
  :: kind[t] == BARRIER -> pass_barrier(who, t)
  :: else -> deliver_from_mailbox(who, t); client_goes_on()
  fi
}

/* The client shows and acknowledges all that is in its socket. */
inline client_goes_on() {
  do
  :: above(session[who].sent, read) != 0 ->
    set = above(session[who].sent, read);
    lowest(set, t);
    show_result(t)
  :: else -> break
  od;
  if
  :: read > session[who].acked -> hear_ack(who, read)
  :: else -> skip
  fi
}

inline all_is_handled() {
#if OWNERS
  append_results(unfinished(events_owner));
  consumer[events_owner].finished = all_seqs()
#else
  do
  :: unhandled() != 0 -> set = unhandled(); lowest(set, y); append_result(y)
  :: else -> break
  od
#endif
}

inline all_is_read() {
  check_position(owner);
  do
  :: router[owner].position < results_end -> on_record(owner); push_arrives()
  :: else -> break
  od
}

inline time_runs_out() {
#ifdef NO_RULE_ACK_TIMEOUT
  skip
#else
  is_at(owner, INFLIGHT, INFLIGHT);
  if
  :: x == 1 -> divert(owner)
  :: else -> skip
  fi
#endif
}

inline all_is_put() {
#if SPLIT_PRODUCE
  /* Once more, whether or not it was written. */
  move_all(owner, PRODUCE, SHELF);
  move_all(owner, WRITTEN, SHELF);
#endif
  find_first(owner, SHELF);
  do
  :: y < router[owner].expected -> shelve_first(owner); find_first(owner, SHELF)
  :: else -> break
  od;
  do
  :: store.offset < dlq_end -> put_next()
  :: else -> break
  od
}

/* What was pushed just now arrives at once, and its ack at the router. It is held, for a gap or its route, or delivered. */
inline push_arrives() {
  who = router[owner].pod;
  t = router[owner].prev;
  if
  :: who != NOBODY && who == connected && kind[t] == EVENT ->
    if
    :: can_push(who, t) -> deliver_push(who, t); client_goes_on(); on_ack(owner, passed_on)
    :: !can_push(who, t) && session[who].status == LIVE && t > session[who].delivered -> session[who].status = REPLAYING
    :: else -> skip
    fi
  :: else -> skip
  fi
}

#ifndef REPLAY
c_decl { static char kept[sizeof(char) * 16384]; }

proctype Peace() {
end:
  do
  :: d_step {
       c_code { memcpy(kept, &now, vsize); };
       phase = FAULTS_STOP;
       do
       :: phase <= (TRAFFIC -> TRAFFIC_GOES_ON : ONE_MORE) ->
         if
         :: phase == FAULTS_STOP -> stop_faults()
         :: phase == ONE_MORE -> publish(EVENT)
         :: else -> c_code { memcpy(&now, kept, vsize); }; stop_faults()
         fi;
         settle();
         phase++
       :: else -> break
       od;
       c_code { memcpy(&now, kept, vsize); } }
  od
}
#else
proctype Peace() { skip }
#endif
