import { embeddedPlace, redisPlace } from '../support/harness/queue-under-test.ts';
import { accountingContract } from './accounting.contract.ts';

accountingContract('on Redis', redisPlace);
accountingContract('embedded', embeddedPlace);
