/*
 * All there is to know in a state, by the part that keeps it. Seqs begin at 1 and cursors at 0, "nothing yet": one more
 * than in the code. Pods and routers begin at 1; 0 is nobody. A set of seqs is a word of bits.
 */
#ifdef WIDE
#define SET int
#define EPOCH int
#define RECORD short
#define SPAN 64
#else
#define SET short
#define EPOCH byte
#define RECORD byte
#define SPAN 16
#endif
/*
 * A record of a topic: its seq, and what else tells it from another of the same seq. For a result whether it is a repeat,
 * which may have ended otherwise; for a barrier in the backlog the route that it made. Routes begin at 1; 0 is none.
 */
#define record(seq, what) ((seq) + SPAN * (what))
#define seq_of(one) ((one) % SPAN)
#define what_of(one) ((one) / SPAN)
#define bit(s) (1 << (s))
#define up_to(s) ((2 << (s)) - 1)
#define above(set, s) ((set) & ~up_to(s))
#define below(s) (bit(s) - 1)
#define NOBODY 0

/* The events topic: by seq. `theirs`: those of the other client. `newest_barriers`: each the newest of its session. */
#define EVENT 1
#define BARRIER 2
#define OTHER 3
byte kind[SEQS + 1];
byte barrier_pod[SEQS + 1];
EPOCH barrier_epoch[SEQS + 1];
byte seqs;
byte newest;       /* the last event of the client */
byte events;
byte others;
byte barriers;
SET theirs;
SET newest_barriers;
#define all_seqs() (up_to(seqs) & ~1)

/* The event consumers: what each has finished, and its one produce request, which lives on when the consumer is replaced. */
#if OWNERS
typedef Consumer { SET finished; SET request; bool written };
Consumer consumer[OWNERS + 1];
byte events_owner;
#endif

/* The results topic: by offset, a record. `handled`: the seqs in it. */
RECORD results[RESULTS + 1];
byte results_end;
SET handled;

/* The backlog topic: by offset, a record; and the set of all seqs in it. */
RECORD dlq[DLQ_SIZE + 1];
byte dlq_end;
SET shelved;

/*
 * The result consumers. What is in memory came from the offsets from `began` up to `expected`, the next one; `position`
 * is where they read. By offset, what became of a record that is not done: with it, of a barrier, its route. Of one client
 * the offsets are in the order in which they came to the queue for the backlog: for what is pushed lies behind what was
 * spilled before.
 */
#define DONE 0
#define INFLIGHT 1
#define SHELF 2
#define PRODUCE 3
#define WRITTEN 4
#define STAGES 8
typedef Memory {
  bool runs;
  byte began;
  byte expected;
  byte position;
  byte pod;
  byte route;
  byte prev;
  RECORD at[RESULTS + 1];
#ifdef REPLAY
  SET taken   /* all that it ever sent to the backlog */
#endif
};
Memory router[ROUTERS + 1];
byte owner;
byte committed;
#define stage_at(r, offset) (router[r].at[offset] % STAGES)
#define route_at(r, offset) (router[r].at[offset] / STAGES)

/* The pod channels: by route and seq, `prev` + 1 of the push that was published, and whether it is of a repeat. */
#define push_at(route, s) ((route) * (SEQS + 1) + (s))
RECORD pushed[(ROUTES + 1) * (SEQS + 1)];
byte pod_of_route[ROUTES + 1];
#ifdef REPLAY
byte routes_made;
byte route_named[ROUTES + 1];     /* by the trace's name of it */
byte name_of_route[ROUTES + 1];
byte highest_pushed[PODS + 1];
#endif

/* The ack channel, and what mailboxes are trimmed to: the highest that gateways passed on. */
byte passed_on;

/* The mailbox store, and its backup. */
typedef Store { SET mailbox; SET repeats; byte route[SEQS + 1]; byte acked; byte offset };
Store store;
#if MAILBOX_ROLLBACKS
Store backup;
#endif

/* The registry, and its backup: the newest session that it knows. */
EPOCH registry_epoch;
byte registry_pod;
EPOCH registry_backup_epoch;
byte registry_backup_pod;
EPOCH clock;

/* The gateways: a pod has at most one session of the client. What is closed keeps its epoch. */
#define CLOSED 0
#define OPENING 1
#define REPLAYING 2
#define LIVE 3
typedef Session {
  byte status;
  EPOCH epoch;
  byte after;
  byte delivered;
  byte acked;
  SET sent;         /* results above `acked` */
  SET repeats;      /* those among them that are of repeats */
  byte route;       /* of the barrier by which it went LIVE the last time */
  bool asked;       /* its newest barrier is under way, or was lost */
  byte since;       /* seqs in the log when it began: for an invariant */
#if STALE_PAGES
  bool has_page;
  bool page_is_short;   /* the mailbox had no more */
  SET page;
  SET page_repeats;
  byte page_route[SEQS + 1];
  byte page_acked
#endif
};
Session session[PODS + 1];
SET crashed;
#ifdef REPLAY
EPOCH granted[PODS + 1];   /* the highest epoch that the registry gave the pod */
#endif

/* The client: whose connection it holds, what it has read there, and what it has ever shown. */
byte connected;
byte read;
byte shown;
#if !OWN_SOCKET
SET received;      /* what any session has sent to it */
#endif

/* What the client itself acknowledged: known to nobody, for invariants. */
byte client_acked;

/* How often it happened. */
byte connects;
byte late_results;
byte takeovers;
byte returns;
byte crashes;
byte lost_barriers;
byte mailbox_rollbacks;
byte registry_rollbacks;
byte registry_wipes;
byte retries;

#ifdef NO_RULE_HELD_PREV
SET held[PODS + 1];
#endif
#ifdef NO_RULE_BARRIER_SETS_DELIVERED
byte passed[PODS + 1];
#endif
#ifdef NO_RULE_LIVE_BY_ONE_PAGE
byte met[PODS + 1];
#endif
bool skipped;   /* for what is allowed once where a rule is taken out */

/* Scratch. A step sets what it uses: nothing here is part of a state. */
hidden byte n;
hidden byte who;   /* of Peace, which calls the steps of all others */
hidden byte t;
hidden byte i;
hidden byte j;
hidden byte round;
hidden byte keeps_newer;
hidden byte mover;
hidden byte stage;
hidden byte next_stage;
hidden byte phase;
hidden byte part;
hidden byte s;   /* chosen: never set within a d_step */
hidden byte m;
hidden byte x;
hidden byte y;
hidden byte z;
hidden RECORD rec;
hidden int set;
hidden int alive;
hidden EPOCH before;

inline lowest(these, seq) {
  seq = 1;
  do
  :: ((these) & bit(seq)) == 0 -> seq++
  :: else -> break
  od
}

#define more(a, b) ((a) > (b) -> (a) : (b))
