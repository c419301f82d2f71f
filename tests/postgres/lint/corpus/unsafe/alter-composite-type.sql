ALTER TYPE raw.address ADD ATTRIBUTE zip text;
