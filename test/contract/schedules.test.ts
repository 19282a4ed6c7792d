import { embeddedPlace, redisPlace } from '../support/harness/queue-under-test.ts';
import { schedulesContract } from './schedules.contract.ts';

schedulesContract('on Redis', redisPlace);
schedulesContract('embedded', embeddedPlace);
