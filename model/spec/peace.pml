/*
 * It ends: from every state, once faults stop and everyone takes his turn, the client is connected, LIVE and complete,
 * nothing is under way, and so it is after one more result. A few rounds must do.
 *
 * All of it is one step that leaves the state as it was: a question asked in every state.
 */
#define MAX_ROUNDS 6

/* Zombies end. What they said stays said, but nobody needs to hear it. */
inline stop_faults() {
  t = 1;
  do
  :: t <= ROUTERS ->
    if
    :: t != owner -> end_router(t)
    :: else -> skip
    fi;
    t++
  :: else -> break
  od
}

#define is_settled()                                                                                                   \
  (connected != NOBODY && session[connected].status == LIVE && shown >= newest && undone(owner) == 0 &&          \
   router[owner].position == results_end && is_expected(owner) && handled == seqs && store.mailbox == 0 &&                                   \
   session[connected].sent == 0 && store.offset == dlq_end && is_alone())
/* For whoever reads a failure: where things got stuck. */
c_code {
  static void say_where(void) {
    printf("connected to pod %d, shown %d of %d seqs, %d handled; router %d at %d of %d, in flight %x, shelf %x; put %d of %d, "
           "mailbox %x, acked %d\n",
      now.connected, now.shown, now.seqs, now.handled, now.owner, now.router[now.owner].position, now.results_end,
      now.router[now.owner].inflight, now.router[now.owner].shelf, now.store.offset, now.dlq_end, now.store.mailbox, now.store.acked);
    for (int i = 1; i <= PODS; i++)
      printf("pod %d: status %d, epoch %d, delivered %d, acked %d, sent %x\n", i, now.session[i].status, now.session[i].epoch,
        now.session[i].delivered, now.session[i].acked, now.session[i].sent);
  }
}

#define is_closed_or_current(q) ((q) == connected || session[q].status == CLOSED)
#define is_alone() (is_closed_or_current(1) && is_closed_or_current(PODS))

inline settle() {
  round = 0;
  do
  :: round < MAX_ROUNDS && !is_settled() -> one_round(); round++
  :: else -> break
  od;
  if
  :: !is_settled() -> c_code { say_where(); }
  :: else -> skip
  fi;
  invariant("it ends: LIVE and complete after faults stop", is_settled())
}

inline one_round() {
  gateways_sweep();
  client_connects();
  if
  :: connected != NOBODY -> session_goes_on()
  :: else -> skip
  fi;
  pipeline_goes_on()
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

/* Its barrier is not back after a round in which everything went on. */
#ifdef NO_RULE_BARRIER_AGAIN
#define is_overdue() false
#else
#define is_overdue() (store.offset == dlq_end && handled == seqs && undone(owner) == 0 && router[owner].position == results_end && is_expected(owner))
#endif

inline session_goes_on() {
  who = connected;
#if STALE_PAGES
  if
  :: session[who].status == OPENING -> open(who, store.acked)
  :: else -> skip
  fi;
  session[who].page = store.mailbox;
#endif
  client_goes_on();
  do
  :: has_mail(who) -> one_mail()
  :: else -> break
  od;
  if
  :: session[who].status == REPLAYING && (!session[who].asked || is_overdue()) -> publish_barrier(who, session[who].epoch); session[who].asked = true
  :: else -> skip
  fi;
  trim(passed_on)
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

inline pipeline_goes_on() {
  do
  :: handled < seqs -> append_result(handled + 1)
  :: else -> break
  od;
  do
  :: router[owner].position < results_end -> on_record(owner, results[router[owner].position]); push_arrives()
  :: else -> break
  od;
#ifndef NO_RULE_ACK_TIMEOUT
  if
  :: router[owner].inflight != 0 -> divert(owner)
  :: else -> skip
  fi;
#endif
#if SPLIT_PRODUCE
  append_all(router[owner].produce);
  router[owner].produce = 0;
  router[owner].written = false;
#endif
  append_all(router[owner].shelf);
  router[owner].shelf = 0;
  do
  :: store.offset < dlq_end -> put_next()
  :: else -> break
  od
}

/* What was pushed just now arrives at once, and its ack at the router. */
inline push_arrives() {
  who = router[owner].pod;
  t = router[owner].prev;
  if
  :: who != NOBODY && who == connected && can_push(who, t) -> deliver(who, t); client_goes_on(); on_ack(owner, passed_on)
  :: else -> skip
  fi
}

#ifndef REPLAY
c_decl { static char kept[sizeof(char) * 8192]; }

proctype Peace() {
end:
  do
  :: d_step {
       c_code { memcpy(kept, &now, vsize); };
       stop_faults();
       settle();
       publish(EVENT);
       settle();
       c_code { memcpy(&now, kept, vsize); } }
  od
}
#else
proctype Peace() { skip }
#endif
