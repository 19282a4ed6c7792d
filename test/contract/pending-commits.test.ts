import { embeddedPlace, redisPlace } from '../support/harness/queue-under-test.ts';
import { pendingCommitsContract } from './pending-commits.contract.ts';

pendingCommitsContract('on Redis', redisPlace);
pendingCommitsContract('embedded', embeddedPlace);
