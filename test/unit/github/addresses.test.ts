import { describe, expect, test } from 'vitest';
import { addressRule, isCidr } from '../../../src/github/network/addresses.ts';

const PUBLIC = [
  '20.150.1.1',
  '140.82.112.3',
  '8.8.8.8',
  '172.15.255.255',
  '172.32.0.0',
  '11.0.0.0',
  '2606:50c0::153',
];

const PRIVATE = [
  '0.0.0.0',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.1.1',
  '172.16.0.0',
  '172.31.255.255',
  '192.0.0.1',
  '192.168.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '0:0:0:0:0:0:0:1',
  '[::1]',
  '::127.0.0.1',
  '::10.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '0:0:0:0:0:ffff:0a00:0001',
  '::ffff:0:10.0.0.1',
  '64:ff9b::10.0.0.1',
  '64:ff9b:1::1',
  '2002:7f00:1::',
  '2001:0:7f00:1::',
  '2001:db8::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
];

const METADATA = [
  '169.254.169.254',
  '169.254.170.2',
  '100.100.100.200',
  '168.63.129.16',
  '::ffff:168.63.129.16',
  'fd00:ec2::254',
  'fd20:ce::254',
  'fd20:00ce:0:0:0:0:0:254',
  'FD00:EC2:0:0:0:0:0:254',
  '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe',
  '64:ff9b::a9fe:a9fe',
];

describe('without ranges of the operator', () => {
  const rule = addressRule([]);
  test.each(PUBLIC)('%s may be reached', (address) => expect(rule.judge(address)).toBe('allowed'));
  test.each(PRIVATE)('%s may not', (address) => expect(rule.judge(address)).toBe('private'));
  test.each(METADATA)('%s is a metadata service', (address) => expect(rule.judge(address)).toBe('metadata'));
});

describe('with ranges of the operator', () => {
  const rule = addressRule(['10.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', 'fd00::/8']);
  test.each(['10.1.2.3', '127.0.0.9', '::ffff:10.1.2.3', '64:ff9b::10.1.2.3', '169.254.1.1', 'fd00::1'])(
    '%s may be reached',
    (address) => expect(rule.judge(address)).toBe('allowed'),
  );
  test.each(['192.168.0.1', '172.16.0.1', '::1', 'fc00::1'])('%s may not', (address) =>
    expect(rule.judge(address)).toBe('private'),
  );
  test.each(METADATA.filter((address) => !address.includes('100.100')))('%s stays out of reach', (address) =>
    expect(rule.judge(address)).toBe('metadata'),
  );
});

test.each([
  ['10.0.0.0/8', true],
  ['fd00::/8', true],
  ['0.0.0.0/0', true],
  ['10.0.0.0', false],
  ['10.0.0.0/33', false],
  ['fd00::/129', false],
  ['10.0.0/8', false],
  ['localhost/8', false],
  ['10.0.0.0/-1', false],
  ['', false],
])('%s as an address range: %s', (text, is) => expect(isCidr(text)).toBe(is));
