/*
 * All there is to know in a state, by the part that keeps it. Seqs begin at 1 and cursors at 0, "nothing yet": one more
 * than in the code. Pods and routers begin at 1; 0 is nobody. A set of seqs is a word of bits.
 */
#ifdef WIDE
#define SET int
#define EPOCH int
#else
#define SET short
#define EPOCH byte
#endif
#define bit(s) (1 << (s))
#define up_to(s) ((2 << (s)) - 1)
#define above(set, s) ((set) & ~up_to(s))
#define below(s) (bit(s) - 1)
#define NOBODY 0

/* The events topic: by seq. */
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

/* The results topic: by offset, the seq. `handled`: the highest in it. */
byte results[RESULTS + 1];
byte results_end;
byte handled;

/* The dlq topic: by offset, the seq; and the set of all in it. */
byte dlq[DLQ_SIZE + 1];
byte dlq_end;
SET shelved;

/*
 * The result consumers. What is in memory came from the offsets from `began` up to `expected`, the next one; `position`
 * is where they read.
 */
typedef Memory {
  bool runs;
  byte began;
  byte expected;
  byte position;
  byte seen;
  byte pod;
  byte prev;
  SET inflight;
  SET shelf;
  SET produce;
  bool written;
#ifdef REPLAY
  SET taken   /* all that it ever sent to the dlq */
#endif
};
Memory router[ROUTERS + 1];
byte owner;
byte committed;

/* The pod channels: by pod and seq, `prev` + 1 of the push that was published there. */
#define push_at(p, s) ((p) * (SEQS + 1) + (s))
byte pushed[(PODS + 1) * (SEQS + 1)];
byte highest_pushed[PODS + 1];

/* The ack channel, and what mailboxes are trimmed to: the highest that gateways passed on. */
byte passed_on;

/* The mailbox store, and its backup. */
typedef Store { SET mailbox; byte acked; byte offset };
Store store;
Store backup;

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
  bool asked;       /* a barrier is under way, or was lost */
  byte since;       /* seqs in the log when it began: for an invariant */
  bool has_page;
  SET page;
  byte page_acked
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
bool skipped;   /* for what is allowed once where a rule is taken out */

/* Scratch. A step sets what it uses: nothing here is part of a state. */
hidden byte n;
hidden byte who;   /* of Peace, which calls the steps of all others */
hidden byte t;
hidden byte round;
hidden byte s;   /* chosen: never set within a d_step */
hidden byte x;
hidden byte y;
hidden byte z;
hidden int set;
hidden EPOCH before;

inline lowest(these, seq) {
  seq = 1;
  do
  :: ((these) & bit(seq)) == 0 -> seq++
  :: else -> break
  od
}

#define more(a, b) ((a) > (b) -> (a) : (b))
