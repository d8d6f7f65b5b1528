BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE counter (
	year INTEGER NOT NULL, 
	last INTEGER NOT NULL, 
	CONSTRAINT pk_counter PRIMARY KEY (year)
);
INSERT INTO "counter" VALUES(2026,2);
CREATE TABLE fingerprint (
	fingerprint VARCHAR(80) NOT NULL, 
	near_miss VARCHAR(20) NOT NULL, 
	CONSTRAINT pk_fingerprint PRIMARY KEY (fingerprint), 
	CONSTRAINT fk_fingerprint_near_miss FOREIGN KEY(near_miss) REFERENCES near_miss (id)
);
INSERT INTO "fingerprint" VALUES('sha256:51ce6a0a1b6f139c25f8023d7121023537bc94cbf2c13a0693d32a9cb69418d5','NM-2026-0001');
INSERT INTO "fingerprint" VALUES('sha256:57d7f0442502741e15570f7d8f36aecc2db4ee4c241dfec20db2398e773c6e26','NM-2026-0002');
CREATE TABLE history (
	n INTEGER NOT NULL, 
	near_miss VARCHAR(20) NOT NULL, 
	at FLOAT NOT NULL, 
	record JSON NOT NULL, 
	CONSTRAINT pk_history PRIMARY KEY (n), 
	CONSTRAINT fk_history_near_miss FOREIGN KEY(near_miss) REFERENCES near_miss (id)
);
INSERT INTO "history" VALUES(1,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "found", "before": "", "after": "open", "reason": "network-latency was in force. order-p95: 1.2 s, at most 500 ms.", "run": "run-1"}');
INSERT INTO "history" VALUES(2,'NM-2026-0002',1790000000.0,'{"nearMiss": "NM-2026-0002", "at": 1790000000.0, "actor": "chaosrunner", "what": "found", "before": "", "after": "open", "reason": "network-latency was in force. order-p95: 1.2 s, at most 500 ms.", "run": "run-1"}');
INSERT INTO "history" VALUES(3,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "ana", "what": "state", "before": "open", "after": "fix-ready", "reason": "commit 4f2a9c"}');
INSERT INTO "history" VALUES(4,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "ana", "what": "fix", "before": "", "after": "commit 4f2a9c", "reason": "commit 4f2a9c"}');
INSERT INTO "history" VALUES(5,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "run passed", "before": "", "after": "1 of 1 passing run", "reason": "the same or a harder fault, and nothing that was expected was loosened", "run": "run-2"}');
INSERT INTO "history" VALUES(6,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "state", "before": "fix-ready", "after": "verified", "reason": "1 of 1 passing run, as environment shop asks", "run": "run-2"}');
INSERT INTO "history" VALUES(7,'NM-2026-0002',1790000000.0,'{"nearMiss": "NM-2026-0002", "at": 1790000000.0, "actor": "chaosrunner", "what": "run passed", "before": "", "after": "", "reason": "the same or a harder fault, and nothing that was expected was loosened", "run": "run-2"}');
INSERT INTO "history" VALUES(8,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "seen again", "before": "", "after": "regressed", "reason": "network-latency was in force. order-p95: 1.2 s, at most 500 ms.", "run": "run-3"}');
INSERT INTO "history" VALUES(9,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "state", "before": "verified", "after": "open", "reason": "run run-3 showed it again after it was verified", "run": "run-3"}');
INSERT INTO "history" VALUES(10,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "priority", "before": "P2", "after": "P1", "reason": "run run-3 showed it again after it was verified", "run": "run-3"}');
INSERT INTO "history" VALUES(11,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "due", "before": "2026-10-21", "after": "2026-10-05", "reason": "run run-3 showed it again after it was verified", "run": "run-3"}');
INSERT INTO "history" VALUES(12,'NM-2026-0001',1790000000.0,'{"nearMiss": "NM-2026-0001", "at": 1790000000.0, "actor": "chaosrunner", "what": "fix", "before": "commit 4f2a9c", "after": "", "reason": "run run-3 showed it again after it was verified", "run": "run-3"}');
CREATE TABLE item (
	near_miss VARCHAR(20) NOT NULL, 
	tracker VARCHAR(100) NOT NULL, 
	"key" VARCHAR(300), 
	claimed_at FLOAT, 
	record JSON NOT NULL, 
	CONSTRAINT pk_item PRIMARY KEY (near_miss, tracker), 
	CONSTRAINT fk_item_near_miss FOREIGN KEY(near_miss) REFERENCES near_miss (id)
);
CREATE TABLE near_miss (
	id VARCHAR(20) NOT NULL, 
	environment_class VARCHAR(100) NOT NULL, 
	service VARCHAR(100) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	priority VARCHAR(2) NOT NULL, 
	finding VARCHAR(20) NOT NULL, 
	owner VARCHAR(200), 
	due DATE NOT NULL, 
	waived_until DATE, 
	last_seen FLOAT NOT NULL, 
	record JSON NOT NULL, 
	CONSTRAINT pk_near_miss PRIMARY KEY (id)
);
INSERT INTO "near_miss" VALUES('NM-2026-0001','demo','checkout','open','P1','near-miss','team-checkout','2026-10-05',NULL,1790000300.0,'{"schema": "chaosrunner.near_miss/1", "id": "NM-2026-0001", "finding": "near-miss", "kind": "impact", "title": "checkout: orders-go-through breaks under network-latency on checkout to payments", "environmentClass": "demo", "service": "checkout", "faultClasses": ["dependency-slow"], "identity": {"to": "payments"}, "targetServices": ["checkout"], "hypothesis": "orders-go-through", "fingerprints": {"nm/1": "sha256:51ce6a0a1b6f139c25f8023d7121023537bc94cbf2c13a0693d32a9cb69418d5"}, "formerFingerprints": [], "experiments": ["checkout-when-payments-is-slow"], "environment": "shop", "state": "open", "stateSince": 1790000300.0, "reason": "run run-3 showed it again after it was verified", "owner": "team-checkout", "labels": [], "scoring": {"rule": "prio/1", "potential": "S3", "proximity": "C1", "priority": "P1", "rationale": ["S3: degraded of a service (tier not declared, taken as 2)", "C1: it ended because the fault was taken back, which is luck and no defence", "S3 and C1 make P2", "it came back once after it was closed: P1"], "inputs": {"finding": "near-miss", "kinds": ["impact"], "stoppedBy": "fault-ended", "standing": 0, "undetected": false, "regressions": 1}}, "openedAt": 1790000300.0, "due": "2026-10-05", "pausedDays": 0, "firstSeen": 1790000000.0, "firstRun": "run-1", "lastSeen": 1790000300.0, "lastRun": "run-3", "occurrences": 2, "regressions": 1, "attempts": 0, "seen": 1, "clean": 0, "conditions": {"environment": "shop", "faults": [{"kind": "network-latency", "faultClass": "dependency-slow", "identity": {}, "services": ["checkout"], "to": ["payments"], "params": {"direction": "both"}, "harder": {"delay": 0.6}, "targets": 1, "lasts": 3.0, "settle": 0.0}], "expectations": [{"measure": "orders-go-through/order-p95", "probe": "traffic", "params": {"read": "p95", "over": "500ms"}, "tolerance": {"baseline": {"atMost": "500ms", "for": "0s"}, "fault": {"atMost": "500ms", "for": "0s"}, "recovery": {"atMost": "500ms", "for": "0s"}}, "unit": "s", "during": "always", "whenMissing": "inconclusive"}], "recoveryWithin": 5.0, "recoveryHolds": 1.0}}');
INSERT INTO "near_miss" VALUES('NM-2026-0002','demo','checkout','open','P2','near-miss','team-checkout','2026-10-21',NULL,1790000000.0,'{"schema": "chaosrunner.near_miss/1", "id": "NM-2026-0002", "finding": "near-miss", "kind": "impact", "title": "checkout: orders-go-through breaks under network-latency on checkout to payments", "environmentClass": "demo", "service": "checkout", "faultClasses": ["dependency-slow"], "identity": {"to": "inventory"}, "targetServices": ["checkout"], "hypothesis": "orders-go-through", "fingerprints": {"nm/1": "sha256:57d7f0442502741e15570f7d8f36aecc2db4ee4c241dfec20db2398e773c6e26"}, "formerFingerprints": [], "experiments": ["checkout-when-payments-is-slow"], "environment": "shop", "state": "open", "stateSince": 1790000000.0, "reason": "", "owner": "team-checkout", "labels": [], "scoring": {"rule": "prio/1", "potential": "S3", "proximity": "C1", "priority": "P2", "rationale": ["S3: degraded of a service (tier not declared, taken as 2)", "C1: it ended because the fault was taken back, which is luck and no defence", "S3 and C1 make P2"], "inputs": {"finding": "near-miss", "kinds": ["impact"], "stoppedBy": "fault-ended", "standing": 0, "undetected": false, "regressions": 0}}, "openedAt": 1790000000.0, "due": "2026-10-21", "pausedDays": 0, "firstSeen": 1790000000.0, "firstRun": "run-1", "lastSeen": 1790000000.0, "lastRun": "run-1", "occurrences": 1, "regressions": 0, "attempts": 0, "seen": 1, "clean": 1, "conditions": {"environment": "shop", "faults": [{"kind": "network-latency", "faultClass": "dependency-slow", "identity": {}, "services": ["checkout"], "to": ["payments"], "params": {"direction": "both"}, "harder": {"delay": 0.6}, "targets": 1, "lasts": 3.0, "settle": 0.0}], "expectations": [{"measure": "orders-go-through/order-p95", "probe": "traffic", "params": {"read": "p95", "over": "500ms"}, "tolerance": {"baseline": {"atMost": "500ms", "for": "0s"}, "fault": {"atMost": "500ms", "for": "0s"}, "recovery": {"atMost": "500ms", "for": "0s"}}, "unit": "s", "during": "always", "whenMissing": "inconclusive"}], "recoveryWithin": 5.0, "recoveryHolds": 1.0}}');
CREATE TABLE occurrence (
	n INTEGER NOT NULL, 
	near_miss VARCHAR(20) NOT NULL, 
	run VARCHAR(100) NOT NULL, 
	fingerprint VARCHAR(80) NOT NULL, 
	at FLOAT NOT NULL, 
	record JSON NOT NULL, 
	CONSTRAINT pk_occurrence PRIMARY KEY (n), 
	CONSTRAINT uq_occurrence_run_fingerprint UNIQUE (run, fingerprint), 
	CONSTRAINT fk_occurrence_near_miss FOREIGN KEY(near_miss) REFERENCES near_miss (id)
);
INSERT INTO "occurrence" VALUES(1,'NM-2026-0001','run-1','sha256:51ce6a0a1b6f139c25f8023d7121023537bc94cbf2c13a0693d32a9cb69418d5',1790000000.0,'{"nearMiss": "NM-2026-0001", "fingerprint": "sha256:51ce6a0a1b6f139c25f8023d7121023537bc94cbf2c13a0693d32a9cb69418d5", "run": "run-1", "at": 1790000000.0, "experiment": "checkout-when-payments-is-slow", "environment": "shop", "kind": "impact", "also": [], "finding": "near-miss", "title": "checkout: orders-go-through breaks under network-latency on checkout to payments", "story": "network-latency was in force. order-p95: 1.2 s, at most 500 ms.", "strength": "1 of 1", "evidence": [{"measure": "orders-go-through/order-p95", "phase": "fault", "rule": "at most 500ms", "limit": 0.5, "worst": 1.2, "baseline": 0.02, "unit": "s", "violatedFor": 2.5, "reason": ""}], "measures": [], "seed": 7, "command": "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7", "conditions": {"environment": "shop", "faults": [{"kind": "network-latency", "faultClass": "dependency-slow", "identity": {}, "services": ["checkout"], "to": ["payments"], "params": {"direction": "both"}, "harder": {"delay": 0.6}, "targets": 1, "lasts": 3.0, "settle": 0.0}], "expectations": [{"measure": "orders-go-through/order-p95", "probe": "traffic", "params": {"read": "p95", "over": "500ms"}, "tolerance": {"baseline": {"atMost": "500ms", "for": "0s"}, "fault": {"atMost": "500ms", "for": "0s"}, "recovery": {"atMost": "500ms", "for": "0s"}}, "unit": "s", "during": "always", "whenMissing": "inconclusive"}], "recoveryWithin": 5.0, "recoveryHolds": 1.0}}');
INSERT INTO "occurrence" VALUES(2,'NM-2026-0002','run-1','sha256:57d7f0442502741e15570f7d8f36aecc2db4ee4c241dfec20db2398e773c6e26',1790000000.0,'{"nearMiss": "NM-2026-0002", "fingerprint": "sha256:57d7f0442502741e15570f7d8f36aecc2db4ee4c241dfec20db2398e773c6e26", "run": "run-1", "at": 1790000000.0, "experiment": "checkout-when-payments-is-slow", "environment": "shop", "kind": "impact", "also": [], "finding": "near-miss", "title": "checkout: orders-go-through breaks under network-latency on checkout to payments", "story": "network-latency was in force. order-p95: 1.2 s, at most 500 ms.", "strength": "1 of 1", "evidence": [{"measure": "orders-go-through/order-p95", "phase": "fault", "rule": "at most 500ms", "limit": 0.5, "worst": 1.2, "baseline": 0.02, "unit": "s", "violatedFor": 2.5, "reason": ""}], "measures": [], "seed": 7, "command": "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7", "conditions": {"environment": "shop", "faults": [{"kind": "network-latency", "faultClass": "dependency-slow", "identity": {}, "services": ["checkout"], "to": ["payments"], "params": {"direction": "both"}, "harder": {"delay": 0.6}, "targets": 1, "lasts": 3.0, "settle": 0.0}], "expectations": [{"measure": "orders-go-through/order-p95", "probe": "traffic", "params": {"read": "p95", "over": "500ms"}, "tolerance": {"baseline": {"atMost": "500ms", "for": "0s"}, "fault": {"atMost": "500ms", "for": "0s"}, "recovery": {"atMost": "500ms", "for": "0s"}}, "unit": "s", "during": "always", "whenMissing": "inconclusive"}], "recoveryWithin": 5.0, "recoveryHolds": 1.0}}');
INSERT INTO "occurrence" VALUES(3,'NM-2026-0001','run-3','sha256:51ce6a0a1b6f139c25f8023d7121023537bc94cbf2c13a0693d32a9cb69418d5',1790000300.0,'{"nearMiss": "NM-2026-0001", "fingerprint": "sha256:51ce6a0a1b6f139c25f8023d7121023537bc94cbf2c13a0693d32a9cb69418d5", "run": "run-3", "at": 1790000300.0, "experiment": "checkout-when-payments-is-slow", "environment": "shop", "kind": "impact", "also": [], "finding": "near-miss", "title": "checkout: orders-go-through breaks under network-latency on checkout to payments", "story": "network-latency was in force. order-p95: 1.2 s, at most 500 ms.", "strength": "1 of 1", "evidence": [{"measure": "orders-go-through/order-p95", "phase": "fault", "rule": "at most 500ms", "limit": 0.5, "worst": 1.2, "baseline": 0.02, "unit": "s", "violatedFor": 2.5, "reason": ""}], "measures": [], "seed": 7, "command": "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7", "conditions": {"environment": "shop", "faults": [{"kind": "network-latency", "faultClass": "dependency-slow", "identity": {}, "services": ["checkout"], "to": ["payments"], "params": {"direction": "both"}, "harder": {"delay": 0.6}, "targets": 1, "lasts": 3.0, "settle": 0.0}], "expectations": [{"measure": "orders-go-through/order-p95", "probe": "traffic", "params": {"read": "p95", "over": "500ms"}, "tolerance": {"baseline": {"atMost": "500ms", "for": "0s"}, "fault": {"atMost": "500ms", "for": "0s"}, "recovery": {"atMost": "500ms", "for": "0s"}}, "unit": "s", "during": "always", "whenMissing": "inconclusive"}], "recoveryWithin": 5.0, "recoveryHolds": 1.0}}');
CREATE TABLE passing (
	n INTEGER NOT NULL, 
	near_miss VARCHAR(20) NOT NULL, 
	run VARCHAR(100) NOT NULL, 
	at FLOAT NOT NULL, 
	record JSON NOT NULL, 
	CONSTRAINT pk_passing PRIMARY KEY (n), 
	CONSTRAINT uq_passing_near_miss_run UNIQUE (near_miss, run), 
	CONSTRAINT fk_passing_near_miss FOREIGN KEY(near_miss) REFERENCES near_miss (id)
);
INSERT INTO "passing" VALUES(1,'NM-2026-0001','run-2',1790000200.0,'{"nearMiss": "NM-2026-0001", "run": "run-2", "began": 1790000190.0, "at": 1790000200.0, "experiment": "checkout-when-payments-is-slow", "environment": "shop", "counts": true, "why": "the same or a harder fault, and nothing that was expected was loosened"}');
INSERT INTO "passing" VALUES(2,'NM-2026-0002','run-2',1790000200.0,'{"nearMiss": "NM-2026-0002", "run": "run-2", "began": 1790000190.0, "at": 1790000200.0, "experiment": "checkout-when-payments-is-slow", "environment": "shop", "counts": true, "why": "the same or a harder fault, and nothing that was expected was loosened"}');
CREATE INDEX ix_near_miss_state_priority ON near_miss (state, priority);
CREATE INDEX ix_near_miss_waived_until ON near_miss (waived_until);
CREATE INDEX ix_near_miss_environment_class_service ON near_miss (environment_class, service);
CREATE INDEX ix_fingerprint_near_miss ON fingerprint (near_miss);
CREATE INDEX ix_occurrence_run ON occurrence (run);
CREATE INDEX ix_occurrence_near_miss ON occurrence (near_miss);
CREATE INDEX ix_passing_near_miss ON passing (near_miss);
CREATE INDEX ix_history_near_miss ON history (near_miss);
COMMIT;
