import { describe, expect, test } from 'vitest';
import { wrongTarget, type ExpectedTarget } from '../../../src/receiver/target.ts';

const NOTHING = { targetType: null, targetId: null, enterpriseHost: null, tenant: null };
const DOTCOM: ExpectedTarget = { host: 'github.com', product: 'github.com', appId: 12 };
const TENANT: ExpectedTarget = { host: 'octo.ghe.com', product: 'ghe.com', appId: 12 };
const SERVER: ExpectedTarget = { host: 'ghes.example.com', product: 'ghes', appId: 12 };

const ANOTHER_APP = 'the delivery is for another GitHub App than the configured one';
const ANOTHER_HOST = 'X-GitHub-Enterprise-Host names another host than the configured one';
const ANOTHER_TENANT = 'X-GitHub-Tenant names another host than the configured one';

describe('App', () => {
  test.each([
    ['integration', '12', 12, null],
    ['integration', '13', 12, ANOTHER_APP],
    ['integration', '012', 12, ANOTHER_APP],
    ['integration', null, 12, ANOTHER_APP],
    ['integration', '13', null, null],
    ['repository', '13', 12, null],
    ['organization', '13', 12, null],
    [null, '13', 12, null],
  ])('target %s %s for App %s', (targetType, targetId, appId, expected) => {
    expect(wrongTarget({ ...NOTHING, targetType, targetId }, { ...DOTCOM, appId })).toBe(expected);
  });
});

describe('enterprise host', () => {
  test.each([
    [SERVER, 'ghes.example.com', null],
    [SERVER, 'GHES.example.com:8443', null],
    [SERVER, 'other.example.com', ANOTHER_HOST],
    [SERVER, 'ghes.example.com.evil.test', ANOTHER_HOST],
    [SERVER, 'evil.test@ghes.example.com', ANOTHER_HOST],
    [DOTCOM, 'ghes.example.com', ANOTHER_HOST],
    [DOTCOM, 'github.com', null],
    [TENANT, 'github.com', ANOTHER_HOST],
    [{ ...SERVER, host: '[::1]' }, '[::1]:8443', null],
  ])('for $0.host: %s', (target, enterpriseHost, expected) => {
    expect(wrongTarget({ ...NOTHING, enterpriseHost }, target)).toBe(expected);
  });
});

describe('tenant', () => {
  test.each([
    [TENANT, 'octo', null],
    [TENANT, 'OCTO', null],
    [TENANT, 'other', ANOTHER_TENANT],
    [TENANT, 'octo.ghe.com', ANOTHER_TENANT],
    [DOTCOM, 'octo', ANOTHER_TENANT],
    [SERVER, 'octo', ANOTHER_TENANT],
  ])('for $0.host: %s', (target, tenant, expected) => {
    expect(wrongTarget({ ...NOTHING, tenant }, target)).toBe(expected);
  });
});
