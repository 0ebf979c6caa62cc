"""The stack of CloudWatch alarms: which there are, who hears of them, and a dashboard."""
