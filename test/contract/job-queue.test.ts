import { embeddedPlace, redisPlace } from '../support/harness/queue-under-test.ts';
import { jobQueueContract } from './job-queue.contract.ts';

jobQueueContract('on Redis', redisPlace);
jobQueueContract('in a folder', embeddedPlace);
